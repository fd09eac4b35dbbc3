# DAVIS-2017 val with an HVC ResNet-18: J&F.
_base_ = [
    './_base_/models/vos_r18.py',
    './_base_/datasets/davis17_val.py',
    './_base_/default_runtime.py',
]
