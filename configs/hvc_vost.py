# VOST val with an HVC ResNet-18: J, and J of the last quarter.
_base_ = [
    './_base_/models/vos_r18.py',
    './_base_/datasets/vost_val.py',
    './_base_/default_runtime.py',
]
