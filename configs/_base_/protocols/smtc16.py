# SMTC's public code (arXiv 2308.09951) on features at stride 16.
model = dict(
    feature_stride=16,
    propagator=dict(
        type='LabelPropagator',
        radius=7,
        topk=7,
        temperature=0.2,
        context=20,
    ),
    codec=dict(type='MaskCodec', shrink='bilinear', enlarge='bilinear'),
)
frames = dict(type='ResizeFrame', multiple=16, round='floor')
