# Mask R-CNN of MMDetection on an HVC ResNet-50; for its start see
# faster-rcnn_hvc-r18_coco.py. Such a checkpoint comes from
#   python tools/train.py configs/hvc_coco.py \
#       --work-dir work_dirs/hvc_r50_coco --cfg-options \
#       model.backbone.depth=50
_base_ = 'mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py'

data_root = '{{$HVC_DATA_ROOT:data}}/coco/'

model = dict(
    backbone=dict(
        _delete_=True,
        type='hvc_mm.HVCResNet',
        depth=50,
        strides=(1, 2, 2, 2),
        out_indices=(0, 1, 2, 3),
        norm_eval=True,
        init_cfg=dict(
            type='hvc_mm.PretrainedBackbone',
            checkpoint='work_dirs/hvc_r50_coco/epoch_20.pth',
        ),
    ),
)
train_dataloader = dict(dataset=dict(data_root=data_root))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=data_root + 'annotations/instances_val2017.json')
test_evaluator = val_evaluator
