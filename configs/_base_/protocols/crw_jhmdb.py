# CRW's protocol of JHMDB (arXiv 2006.14613).
model = dict(
    propagator=dict(
        type='LabelPropagator',
        radius=5,
        topk=10,
        temperature=0.05,
        context=7,
    ),
    codec=dict(type='JointCodec', topk=3, sharpness=2.0),
)
frames = dict(type='ResizeFrame', size=(320, 320))
