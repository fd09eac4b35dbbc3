# COCO train2017 without its annotations: 118,287 images, also those on which
# nothing is annotated.
_base_ = './paired_views.py'

train_dataloader = dict(
    dataset=dict(
        type='CocoImagesDataset',
        data_root='{{$HVC_DATA_ROOT:data}}/coco',
        ann_file='annotations/instances_train2017.json',
        data_prefix=dict(img='train2017/'),
    )
)
