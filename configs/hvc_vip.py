# VIP val with an HVC ResNet-18 by CRW's protocol: mean IoU over parts.
_base_ = [
    './_base_/models/vos_r18.py',
    './_base_/datasets/vip_val.py',
    './_base_/default_runtime.py',
]

model = dict(
    warmup_zero_image=None,
    propagator=dict(radius=12, topk=10, temperature=0.05, context=4),
    codec=dict(_delete_=True, type='PartCodec', size=(560, 560)),
)
