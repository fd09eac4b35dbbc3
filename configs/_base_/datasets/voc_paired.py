# PASCAL VOC's images, from the official download or the HVC release's folder.
_base_ = './paired_views.py'

train_dataloader = dict(
    dataset=dict(
        type='ImageFolderDataset',
        data_root='{{$HVC_DATA_ROOT:data}}',
        any_of=['VOCdevkit/VOC2012/JPEGImages', 'Static/JPEGImages/PASCAL'],
    )
)
