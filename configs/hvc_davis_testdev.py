# DAVIS-2017 test-dev with an HVC ResNet-18: a zip for the server.
_base_ = [
    './_base_/models/vos_r18.py',
    './_base_/datasets/davis17_testdev.py',
    './_base_/default_runtime.py',
]
