# Faster R-CNN of MMDetection on an HVC ResNet-18. Its checkpoint (of
# pre-training, or any file that tools/model_converters/convert.py reads) is
# the start: --cfg-options model.backbone.init_cfg.checkpoint=...
_base_ = 'mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py'

data_root = '{{$HVC_DATA_ROOT:data}}/coco/'

model = dict(
    backbone=dict(
        _delete_=True,
        type='hvc_mm.HVCResNet',
        depth=18,
        # A pyramid wants strides 4 to 32; pre-training kept 8 from stage 2.
        strides=(1, 2, 2, 2),
        out_indices=(0, 1, 2, 3),
        # Every stage is trained. Two images a GPU are too few for batch
        # statistics: those of pre-training stay.
        norm_eval=True,
        init_cfg=dict(
            type='hvc_mm.PretrainedBackbone',
            checkpoint='work_dirs/hvc_coco/epoch_20.pth',
        ),
    ),
    neck=dict(in_channels=[64, 128, 256, 512]),
)
train_dataloader = dict(dataset=dict(data_root=data_root))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=data_root + 'annotations/instances_val2017.json')
test_evaluator = val_evaluator
