# DAVIS-2017 val: the first frame's mask is given, frames at their own size.
# https://davischallenge.org/davis2017/code.html ("TrainVal, 480p")

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
        type='VOSDataset',
        data_root='{{$HVC_DATA_ROOT:data}}/DAVIS',
        ann_file='ImageSets/2017/val.txt',
        data_prefix=dict(
            img_path='JPEGImages/480p', ann_path='Annotations/480p'
        ),
        prompt_at='first_frame',
        benchmark=dict(
            name='DAVIS-2017 val', videos=30, frames=1999, objects=61
        ),
        pipeline=test_pipeline,
    ),
)
test_evaluator = dict(
    type='VOSMetric', first_last_excluded=True, bound_th=0.008
)
test_cfg = dict(type='TestLoop')
