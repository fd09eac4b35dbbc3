# COCO train2017 as a bare folder of images: no json, no MMDetection.
_base_ = './paired_views.py'

train_dataloader = dict(
    dataset=dict(
        type='ImageFolderDataset',
        data_root='{{$HVC_DATA_ROOT:data}}',
        any_of=['coco/train2017', 'Static/JPEGImages/COCO'],
    )
)
