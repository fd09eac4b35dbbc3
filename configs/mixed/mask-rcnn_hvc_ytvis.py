# Video instance segmentation with MMTracking 1.x: MMDetection's Mask R-CNN on
# every tenth frame, an HVC ResNet-18 propagates masks and identities in
# between.
# Nothing is trained. With MMTracking's own tool:
#   mim test mmtrack configs/mixed/mask-rcnn_hvc_ytvis.py
_base_ = [
    'mmtrack::_base_/models/mask-rcnn_r50_fpn.py',
    'mmtrack::_base_/datasets/youtube_vis.py',
    'mmtrack::_base_/default_runtime.py',
]
custom_imports = dict(
    imports=['hvc_mm.bridges.mmtrack'], allow_failed_imports=False
)

data_root = '{{$HVC_DATA_ROOT:data}}/youtube_vis_2019/'

model = dict(
    type='HVCInstanceTracker',
    detector=dict(
        # MMDetection's Mask R-CNN (R-50, FPN) for COCO; its file is in
        # MMDetection's model zoo.
        init_cfg=dict(
            type='Pretrained', checkpoint='checkpoints/mask_rcnn_r50_coco.pth'
        ),
    ),
    carrier=dict(
        backbone=dict(
            type='hvc_mm.HVCResNet',
            depth=18,
            strides=(1, 2, 1, 1),
            out_indices=(2,),
            init_cfg=dict(
                type='hvc_mm.PretrainedBackbone',
                checkpoint='work_dirs/hvc_coco/epoch_20.pth',
            ),
        ),
        propagator=dict(radius=12, topk=15, temperature=0.1, context=50),
    ),
    tracks=dict(
        # Propagated masks have lost parts after ten frames.
        iou_thr=0.1,
        begin_iou_thr=0.3,
        init_score_thr=0.5,
        max_unconfirmed=1,
        max_absent=10,
        renew=True,
    ),
    detect_every=10,
    score_thr=0.3,
    # COCO's classes to those of YouTube-VIS 2019, as far as both have them.
    label_map={
        0: 0,  # person
        2: 5,  # car: sedan
        3: 20,  # motorcycle
        4: 27,  # airplane
        6: 16,  # train
        7: 28,  # truck
        8: 33,  # boat
        15: 13,  # cat
        16: 7,  # dog
        17: 17,  # horse
        19: 14,  # cow
        20: 31,  # elephant
        21: 19,  # bear
        22: 29,  # zebra
        23: 21,  # giraffe
        31: 32,  # snowboard
        36: 4,  # skateboard
        37: 26,  # surfboard
        38: 39,  # tennis racket
    },
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
