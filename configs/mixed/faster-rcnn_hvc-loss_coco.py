# Faster R-CNN with HVC's loss as an auxiliary one on its backbone: each
# image that the detector trains on also gives two crops to compare.
_base_ = './faster-rcnn_hvc-r18_coco.py'

model = dict(
    _delete_=True,
    type='hvc_mm.WithHVCLoss',
    model={{_base_.model}},
    auxiliary=dict(
        # The last map of the backbone: layer4, 512 channels.
        feature_index=-1,
        projector=dict(),
        predictor=dict(in_channels=256),
        flow_head=dict(in_channels=256),
        loss=dict(pos_radius=0.1),
        target=dict(base_momentum=0.99),
        view_size=256,
    ),
    weight=0.1,
)
