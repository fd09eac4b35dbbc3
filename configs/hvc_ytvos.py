# HVC on single frames of YouTube-VOS: ResNet-18, 20 epochs, batch 128.
_base_ = [
    './_base_/models/hvc_r18.py',
    './_base_/datasets/ytvos_paired.py',
    './_base_/schedules/hvc_adam_20e.py',
    './_base_/default_runtime.py',
]
