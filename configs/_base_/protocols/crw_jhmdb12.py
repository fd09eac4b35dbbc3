# CRW's protocol of JHMDB with the radius of many published runs.
model = dict(
    propagator=dict(
        type='LabelPropagator',
        radius=12,
        topk=10,
        temperature=0.05,
        context=7,
    ),
    codec=dict(type='JointCodec', topk=3, sharpness=2.0),
)
frames = dict(type='ResizeFrame', size=(320, 320))
