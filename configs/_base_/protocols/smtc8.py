_base_ = './smtc16.py'

# SMTC's public code (arXiv 2308.09951) on features at stride 8.
model = dict(feature_stride=8, propagator=dict(radius=35, topk=28))
frames = dict(multiple=8)
