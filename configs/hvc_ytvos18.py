# YouTube-VOS 2018 val with an HVC ResNet-18: a zip for the server, and J&F
# where ground truth is at hand.
_base_ = [
    './_base_/models/vos_r18.py',
    './_base_/datasets/ytvos18_val.py',
    './_base_/default_runtime.py',
]
