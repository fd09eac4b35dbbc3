# YouTube-VOS 2018's training videos as single frames: 3,471 videos, at most
# 80 frames of each an epoch, drawn anew. ytvos.csv is the HVC release's list.
_base_ = './paired_views.py'

train_dataloader = dict(
    dataset=dict(
        type='VideoFramesDataset',
        data_root='{{$HVC_DATA_ROOT:data}}/YTB/2018/train_all_frames',
        ann_file='ytvos.csv',
        data_prefix=dict(img_path='JPEGImages'),
        max_per_video=80,
    )
)
