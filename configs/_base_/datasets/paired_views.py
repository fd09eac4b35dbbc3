# Two random views of each image, 8 bit; the device normalises them. What all
# sources of still images share; a source adds its data set.

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
    dataset=dict(pipeline=train_pipeline),
)
