# DAVIS-2016 val with an HVC ResNet-18: J&F of one object.
_base_ = [
    './_base_/models/vos_r18.py',
    './_base_/datasets/davis16_val.py',
    './_base_/default_runtime.py',
]
