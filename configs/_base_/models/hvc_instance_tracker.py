# HVCInstanceTracker's own settings, the same in MMTracking and MMDetection: an
# HVC ResNet-18 propagates masks and identities between key frames.
tracker = dict(
    type='HVCInstanceTracker',
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
        # Lost objects are found again by their features.
        reid_thr=0.4,
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
