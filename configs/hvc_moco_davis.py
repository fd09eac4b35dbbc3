# DAVIS-2017 val with the released ensemble: HVC ResNet-18 (weight 1.05) and
# MoCo-v1 ResNet-50. A checkpoint on the command line goes to the first
# member; the second one's is downloaded, or a file that is given by
# --cfg-options model.backbone.members.1.init_cfg.checkpoint=...
_base_ = './hvc_davis.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='FeatureEnsemble',
        weights=[1.05, 1.0],
        members=[
            dict(
                type='HVCResNet',
                depth=18,
                strides=(1, 2, 1, 1),
                out_indices=(2,),
            ),
            dict(
                type='HVCResNet',
                depth=50,
                strides=(1, 2, 1, 1),
                out_indices=(2,),
                init_cfg=dict(
                    type='hvc_mm.PretrainedBackbone',
                    checkpoint='moco-v1-r50',
                    layout='moco',
                ),
            ),
        ],
    )
)
