# HVC's public release (arXiv 2404.13505). The first frame matches anywhere
# and takes the place of the frames before it.
model = dict(
    # The release shows each network an all-zero image in train mode first.
    warmup_zero_image=(256, 256),
    propagator=dict(
        type='LabelPropagator',
        radius=12,
        topk=15,
        temperature=0.1,
        context=50,
    ),
    codec=dict(type='MaskCodec'),
)
frames = dict(type='ResizeFrame', size=None)
