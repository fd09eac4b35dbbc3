# YouTube-VOS 2019 val, as 2018.
_base_ = './ytvos18_val.py'

test_dataloader = dict(
    dataset=dict(
        data_root='{{$HVC_DATA_ROOT:data}}/YTB/2019',
        benchmark=dict(name='YouTube-VOS 2019 val', videos=507),
    )
)
test_evaluator = dict(
    out_dir='work_dirs/hvc_ytvos19/masks',
    zip_path='work_dirs/hvc_ytvos19/submission.zip',
)
