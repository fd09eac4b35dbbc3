_base_ = './crw_jhmdb.py'

# CRW's protocol of JHMDB with the radius of many published runs.
model = dict(propagator=dict(radius=12))
