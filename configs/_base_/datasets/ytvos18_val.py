# YouTube-VOS 2018 val: all frames are propagated through, objects enter
# with their own first mask, the frames of `valid` are written.

test_pipeline = [
    dict(type='LoadFrame'),
    dict(type='LoadPrompt'),
    dict(type='ResizeFrame', size=None),
    dict(type='PackVOSInputs'),
]
test_dataloader = dict(
    batch_size=1,
    num_workers=2,
    sampler=dict(type='VideoSampler'),
    dataset=dict(
        type='YouTubeVOSDataset',
        data_root='{{$HVC_DATA_ROOT:data}}/YTB/2018',
        ann_file='valid/meta.json',
        data_prefix=dict(
            img_path='valid_all_frames/JPEGImages',
            ann_path='valid/Annotations',
            scored_path='valid/JPEGImages',
        ),
        benchmark=dict(name='YouTube-VOS 2018 val', videos=474),
        pipeline=test_pipeline,
    ),
)
test_evaluator = dict(
    type='YouTubeVOSMetric',
    bound_th=0.008,
    out_dir='work_dirs/hvc_ytvos18/masks',
    zip_path='work_dirs/hvc_ytvos18/submission.zip',
)
test_cfg = dict(type='TestLoop')
