# Label propagation with layer3 of an HVC ResNet-18 (256 channels, stride 8),
# by the protocol of HVC's release.
_base_ = '../protocols/hvc.py'

model = dict(
    type='LabelPropagationVOS',
    data_preprocessor=dict(
        type='VOSDataPreprocessor',
        # ImageNet's mean and std, as the HVC release tests.
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        channels_last=True,
    ),
    backbone=dict(
        type='HVCResNet', depth=18, strides=(1, 2, 1, 1), out_indices=(2,)
    ),
)
