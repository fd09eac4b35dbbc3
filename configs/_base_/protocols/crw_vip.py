# CRW's protocol of VIP (arXiv 2006.14613).
model = dict(
    propagator=dict(
        type='LabelPropagator',
        radius=12,
        topk=10,
        temperature=0.05,
        context=4,
    ),
    codec=dict(type='PartCodec', size=(560, 560)),
)
frames = dict(type='ResizeFrame', size=(560, 560))
