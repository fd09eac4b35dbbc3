# DAVIS-2016 val: propagated with DAVIS-2017's ids where those masks are
# there, scored as one object. Masks of 0 and 255 are read as one object.
_base_ = './davis17_val.py'

test_dataloader = dict(
    dataset=dict(
        ann_file='ImageSets/2016/val.txt',
        benchmark=dict(
            _delete_=True, name='DAVIS-2016 val', videos=20, frames=1376
        ),
    )
)
test_evaluator = dict(merge_ids=True)
