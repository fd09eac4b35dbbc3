# CropMAE's public code on VIP (arXiv 2403.17823), for a patch of 16 pixels.
model = dict(
    propagator=dict(
        type='LabelPropagator',
        radius=20,
        topk=10,
        temperature=0.7,
        context=20,
    ),
    codec=dict(type='PartCodec', size=None),
)
frames = dict(type='ResizeFrame', long_side=880, multiple=64, round='floor')
