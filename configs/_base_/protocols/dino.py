# DINO's public code (arXiv 2104.14294), which counts the window as a square of
# 25x25 cells, and has a std of its own.
model = dict(
    data_preprocessor=dict(std=[58.14, 57.12, 57.375]),
    propagator=dict(
        type='LabelPropagator',
        radius=12,
        window='square',
        with_edge=True,
        topk=5,
        temperature=0.1,
        context=7,
        repeat_reference=False,
        reference_in_window=True,
    ),
    codec=dict(
        type='MaskCodec',
        shrink='pil-nearest',
        enlarge='bilinear',
        stretch=True,
        decide_at_input=True,
    ),
)
frames = dict(type='ResizeFrame', short_side=480, multiple=64, round='floor')
