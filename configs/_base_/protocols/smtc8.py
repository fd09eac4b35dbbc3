# SMTC's public code (arXiv 2308.09951) on features at stride 8.
model = dict(
    feature_stride=8,
    propagator=dict(
        type='LabelPropagator',
        radius=35,
        topk=28,
        temperature=0.2,
        context=20,
    ),
    codec=dict(type='MaskCodec', shrink='bilinear', enlarge='bilinear'),
)
frames = dict(type='ResizeFrame', multiple=8, round='floor')
