# VFS's public code for a ResNet-18 (arXiv 2103.17263); with a ResNet-50 the
# radius is 18. The first frame is limited to the window as all others, and
# there twice while it is one of the latest.
model = dict(
    propagator=dict(
        type='LabelPropagator',
        radius=12,
        topk=10,
        temperature=0.07,
        context=20,
        repeat_reference='latest',
        reference_in_window=True,
    ),
    codec=dict(
        type='MaskCodec',
        shrink='pil-nearest',
        enlarge='bilinear',
        stretch=True,
    ),
)
frames = dict(type='ResizeFrame', short_side=480)
