# COCO train2017 without its annotations: 118,287 images, also those on which
# nothing is annotated. Two views of each, 8 bit; the device normalises them.

# MMDetection's registry doesn't import its data sets by itself everywhere.
custom_imports = dict(imports=['mmdet.datasets'], allow_failed_imports=True)

train_pipeline = [
    dict(type='LoadPretrainImage'),
    dict(
        type='PairedRandomResizedCrop',
        size=256,
        scale=(0.0, 1.0),
        ratio=(3 / 4, 4 / 3),
    ),
    dict(type='PackPairedViews'),
]
train_dataloader = dict(
    batch_size=128,
    num_workers=8,
    pin_memory=True,
    # Workers start anew for every epoch, so that seed_worker can give an
    # epoch's crops again when training resumes there.
    persistent_workers=False,
    worker_init_fn=dict(type='hvc_mm.seed_worker'),
    collate_fn=dict(type='default_collate'),
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='mmdet.CocoDataset',
        data_root='{{$HVC_DATA_ROOT:data}}/coco',
        ann_file='annotations/instances_train2017.json',
        data_prefix=dict(img='train2017/'),
        filter_cfg=None,
        pipeline=train_pipeline,
    ),
)
