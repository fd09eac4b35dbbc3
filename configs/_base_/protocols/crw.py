# CRW's public code on DAVIS ("videowalk", arXiv 2006.14613).
model = dict(
    propagator=dict(
        type='LabelPropagator',
        radius=12,
        topk=10,
        temperature=0.05,
        context=20,
    ),
    codec=dict(type='MaskCodec', shrink='bilinear', enlarge='bilinear'),
)
frames = dict(type='ResizeFrame', size=None)
