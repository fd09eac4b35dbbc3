# DINOv3's public notebook (arXiv 2508.10104), for a patch of 16 pixels.
model = dict(
    propagator=dict(
        type='LabelPropagator',
        radius=12,
        with_edge=True,
        topk=5,
        temperature=0.2,
        context=7,
        repeat_reference=False,
        reference_in_window=True,
    ),
    codec=dict(
        type='MaskCodec',
        shrink='nearest-exact',
        enlarge='nearest',
        stretch=True,
    ),
)
frames = dict(
    type='ResizeFrame',
    short_side=960,
    multiple=16,
    round='up',
    interpolation='bicubic',
    backend='pillow',
)
