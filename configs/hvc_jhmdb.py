# JHMDB split 1 with an HVC ResNet-18 by CRW's protocol: PCK of joints.
_base_ = [
    './_base_/models/vos_r18.py',
    './_base_/datasets/jhmdb_split1.py',
    './_base_/default_runtime.py',
]

model = dict(
    warmup_zero_image=None,
    propagator=dict(radius=5, topk=10, temperature=0.05, context=7),
    codec=dict(_delete_=True, type='JointCodec', topk=3, sharpness=2.0),
)
