# DAVIS-2017 test-dev: no ground truth beyond the first frame, so masks are
# written and packed for the server.
_base_ = './davis17_val.py'

test_dataloader = dict(
    dataset=dict(
        ann_file='ImageSets/2017/test-dev.txt',
        benchmark=dict(
            _delete_=True, name='DAVIS-2017 test-dev', videos=30, frames=2086
        ),
    )
)
test_evaluator = dict(
    format_only=True,
    out_dir='work_dirs/hvc_davis_testdev/masks',
    zip_path='work_dirs/hvc_davis_testdev/submission.zip',
)
