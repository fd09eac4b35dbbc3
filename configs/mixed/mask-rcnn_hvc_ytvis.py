# Video instance segmentation with MMTracking 1.x: MMDetection's Mask R-CNN on
# every tenth frame, an HVC ResNet-18 propagates masks and identities in
# between.
# Nothing is trained. With MMTracking's own tool:
#   mim test mmtrack configs/mixed/mask-rcnn_hvc_ytvis.py
_base_ = [
    '../_base_/models/hvc_instance_tracker.py',
    'mmtrack::_base_/models/mask-rcnn_r50_fpn.py',
    'mmtrack::_base_/datasets/youtube_vis.py',
    'mmtrack::_base_/default_runtime.py',
]
custom_imports = dict(
    imports=['hvc_mm.bridges.mmtrack'], allow_failed_imports=False
)

data_root = '{{$HVC_DATA_ROOT:data}}/youtube_vis_2019/'

model = dict(
    detector=dict(
        # MMDetection's Mask R-CNN (R-50, FPN) for COCO; its file is in
        # MMDetection's model zoo.
        init_cfg=dict(
            type='Pretrained', checkpoint='checkpoints/mask_rcnn_r50_coco.pth'
        ),
    ),
    **_base_.tracker,
)

train_dataloader = None
val_dataloader = None
# Annotations are not loaded into the samples: the metric takes them from the
# file, and MMTracking's visualizer can't draw masks that are loaded.
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='mmdet.Resize', scale=(640, 360), keep_ratio=True),
    dict(type='PackTrackInputs', pack_single_img=True),
]
test_dataloader = dict(
    dataset=dict(data_root=data_root, pipeline=test_pipeline)
)
# The ground truth of `valid` is not public: this writes a zip for the server.
test_evaluator = dict(
    type='YouTubeVISMetric',
    metric='youtube_vis_ap',
    outfile_prefix='work_dirs/mask-rcnn_hvc_ytvis/results',
    format_only=True,
)
test_cfg = dict(type='TestLoop')
