# VIP val by CRW's protocol: 560x560, parts of the first frame, mean IoU.

test_pipeline = [
    dict(type='LoadFrame'),
    dict(type='LoadPrompt'),
    dict(type='ResizeFrame', size=(560, 560), interpolation='bilinear'),
    dict(type='PackVOSInputs'),
]
test_dataloader = dict(
    batch_size=1,
    num_workers=2,
    sampler=dict(type='VideoSampler'),
    dataset=dict(
        type='VIPDataset',
        data_root='{{$HVC_DATA_ROOT:data}}/VIP/VIP_Fine',
        ann_file='lists/val_videos.txt',
        data_prefix=dict(
            img_path='Images', ann_path='Annotations/Category_ids'
        ),
        prompt_at='first_frame',
        benchmark=dict(name='VIP val', videos=50, frames=2445),
        pipeline=test_pipeline,
    ),
)
test_evaluator = dict(type='MeanIoUMetric', num_classes=20)
test_cfg = dict(type='TestLoop')
