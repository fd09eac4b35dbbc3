# HVC on any images: a folder, a glob pattern, or a list of them.
_base_ = [
    './_base_/models/hvc_r18.py',
    './_base_/datasets/folder_paired.py',
    './_base_/schedules/hvc_adam_20e.py',
    './_base_/default_runtime.py',
]
