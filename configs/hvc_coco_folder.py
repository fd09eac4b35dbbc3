# HVC on COCO's images read as a bare folder: needs no json and no mmdet.
_base_ = [
    './_base_/models/hvc_r18.py',
    './_base_/datasets/coco_folder_paired.py',
    './_base_/schedules/hvc_adam_20e.py',
    './_base_/default_runtime.py',
]
