# HVC pre-training, ResNet-18: 256x256 views give 512 x 32 x 32 features.
model = dict(
    type='HVC',
    data_preprocessor=dict(
        type='PairedViewsDataPreprocessor',
        # Mean and std of the HVC release, of RGB in [0, 1], times 255.
        mean=[0.4914 * 255, 0.4822 * 255, 0.4465 * 255],
        std=[0.2023 * 255, 0.1994 * 255, 0.2010 * 255],
        bgr_to_rgb=True,
        channels_last=True,
    ),
    backbone=dict(
        type='HVCResNet', depth=18, strides=(1, 2, 1, 1), out_indices=(3,)
    ),
    # Takes as many channels as the backbone's last map has.
    projector=dict(
        type='ConvProjector',
        hidden_channels=256,
        out_channels=256,
    ),
    predictor=dict(
        type='ConvProjector',
        in_channels=256,
        hidden_channels=256,
        out_channels=256,
    ),
    flow_head=dict(
        type='PseudoFlowHead', in_channels=256, hidden_channels=256
    ),
    loss=dict(type='HybridCorrespondenceLoss', pos_radius=0.1),
    target=dict(type='CosineMomentumTarget', base_momentum=0.99),
)
