# VOST val: all objects of the first frame's mask are followed. Every frame of
# JPEGImages (5 a second) has a mask; with img_path='JPEGImages_10fps' the
# frames between are propagated through and not scored.
# https://www.vostdataset.org
_base_ = './davis17_val.py'

test_pipeline = [
    dict(type='LoadFrame'),
    dict(type='LoadPrompt'),
    # The frames are of up to 1080 lines.
    dict(type='ResizeFrame', short_side=480),
    dict(type='PackVOSInputs'),
]
test_dataloader = dict(
    dataset=dict(
        data_root='{{$HVC_DATA_ROOT:data}}/VOST',
        ann_file='ImageSets/val.txt',
        data_prefix=dict(img_path='JPEGImages', ann_path='Annotations'),
        benchmark=dict(_delete_=True, name='VOST val', videos=70, frames=7820),
        pipeline=test_pipeline,
    )
)
test_evaluator = dict(_delete_=True, type='VOSTMetric')
