# CropMAE's public code on DAVIS (arXiv 2403.17823), for a patch of 16 pixels.
model = dict(
    propagator=dict(
        type='LabelPropagator',
        radius=20,
        topk=7,
        temperature=0.7,
        context=20,
    ),
    codec=dict(type='PartCodec', size=(480, 880)),
)
frames = dict(type='ResizeFrame', size=(480, 880))
