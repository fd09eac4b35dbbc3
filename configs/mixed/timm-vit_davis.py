# DAVIS-2017 val with a Vision Transformer of timm; its file of weights is
# given as the checkpoint. The patches have to divide the frames, as they do
# with `--protocol dino`. Any model of timm will do.
_base_ = '../hvc_davis.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='TimmBackbone',
        model_name='vit_small_patch16_224',
    ),
)
