# Video instance segmentation with MMDetection's own tracking (3.1 or later):
# its Mask R-CNN on every tenth frame, an HVC ResNet-18 propagates masks and
# identities in between. Nothing is trained:
#   python tools/test.py configs/mixed/mask-rcnn_hvc_ytvis_mmdet.py
_base_ = [
    '../_base_/models/hvc_instance_tracker.py',
    'mmdet::_base_/models/mask-rcnn_r50_fpn.py',
    'mmdet::_base_/datasets/youtube_vis.py',
    'mmdet::_base_/default_runtime.py',
]
custom_imports = dict(
    imports=['hvc_mm.bridges.mmdet'], allow_failed_imports=False
)

data_root = '{{$HVC_DATA_ROOT:data}}/youtube_vis_2019/'

detector = _base_.model
detector.pop('data_preprocessor')
# MMDetection's Mask R-CNN (R-50, FPN) for COCO; its file is in MMDetection's
# model zoo.
detector.init_cfg = dict(
    type='Pretrained', checkpoint='checkpoints/mask_rcnn_r50_coco.pth'
)
model = dict(
    _delete_=True,
    data_preprocessor=dict(
        type='TrackDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_size_divisor=32,
    ),
    detector=detector,
    **_base_.tracker,
)

train_dataloader = None
val_dataloader = None
# Annotations are not loaded into the samples: the metric takes them from the
# file.
test_pipeline = [
    dict(
        type='TransformBroadcaster',
        transforms=[
            dict(type='LoadImageFromFile'),
            dict(type='Resize', scale=(640, 360), keep_ratio=True),
        ],
    ),
    dict(type='PackTrackInputs'),
]
test_dataloader = dict(
    dataset=dict(data_root=data_root, pipeline=test_pipeline)
)
# The ground truth of `valid` is not public: this writes a zip for the server.
test_evaluator = dict(
    type='HVCYouTubeVISMetric',
    metric='youtube_vis_ap',
    outfile_prefix='work_dirs/mask-rcnn_hvc_ytvis_mmdet/results',
    format_only=True,
)
test_cfg = dict(type='TestLoop')

default_hooks = dict(
    visualization=dict(
        _delete_=True, type='TrackVisualizationHook', draw=False
    )
)
visualizer = dict(type='HVCTrackLocalVisualizer')
