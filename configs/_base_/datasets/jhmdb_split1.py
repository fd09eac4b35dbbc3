# JHMDB, test clips of split 1, by CRW's protocol: 320x320, joints of the
# first frame, PCK.

test_pipeline = [
    dict(type='LoadFrame'),
    dict(type='ResizeFrame', size=(320, 320), interpolation='bilinear'),
    dict(type='PackVOSInputs'),
]
test_dataloader = dict(
    batch_size=1,
    num_workers=2,
    sampler=dict(type='VideoSampler'),
    dataset=dict(
        type='JHMDBDataset',
        data_root='{{$HVC_DATA_ROOT:data}}/JHMDB',
        data_prefix=dict(
            img_path='Rename_Images',
            ann_path='joint_positions',
            split_path='splits',
        ),
        split=1,
        benchmark=dict(name='JHMDB split 1', videos=268),
        pipeline=test_pipeline,
    ),
)
test_evaluator = dict(
    type='PCKMetric',
    thresholds=(0.1, 0.2, 0.3, 0.4, 0.5),
    grid=40,
    box_share=0.6,
)
test_cfg = dict(type='TestLoop')
