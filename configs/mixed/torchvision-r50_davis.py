# DAVIS-2017 val with torchvision's ResNet-50; its file of weights is given as
# the checkpoint. Any network of torchvision, and any node of it, will do.
_base_ = '../hvc_davis.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='TorchvisionBackbone',
        model='resnet50',
        # The network's last one at stride 8.
        nodes='layer2',
    ),
)
