# Validation while HVC is trained: six sequences of DAVIS-2017 val at 240x432,
# label propagation by HVC's protocol. Goes next to a training config; names
# have their scope, so that those of other projects take it, too.

val_pipeline = [
    dict(type='hvc_mm.LoadFrame'),
    dict(type='hvc_mm.LoadPrompt'),
    dict(type='hvc_mm.ResizeFrame', size=(240, 432)),
    dict(type='hvc_mm.PackVOSInputs'),
]
val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    sampler=dict(type='hvc_mm.VideoSampler'),
    dataset=dict(
        type='hvc_mm.VOSDataset',
        data_root='{{$HVC_DATA_ROOT:data}}/DAVIS',
        ann_file='ImageSets/2017/val.txt',
        data_prefix=dict(
            img_path='JPEGImages/480p', ann_path='Annotations/480p'
        ),
        prompt_at='first_frame',
        videos=[
            'blackswan',
            'breakdance',
            'dogs-jump',
            'horsejump-high',
            'india',
            'soapbox',
        ],
        benchmark=dict(name='DAVIS-2017 val', videos=30, frames=1999),
        pipeline=val_pipeline,
    ),
)
val_evaluator = dict(
    type='hvc_mm.VOSMetric', first_last_excluded=True, bound_th=0.008
)
val_cfg = dict(type='ValLoop')

# What a test builds, see ../models/vos_r18.py. The backbone is the one that
# is trained, but for what is said here: of an HVCResNet layer3, at stride 8.
val_model = dict(
    type='hvc_mm.LabelPropagationVOS',
    warmup_zero_image=(256, 256),
    data_preprocessor=dict(
        type='hvc_mm.VOSDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        channels_last=True,
    ),
    backbone=dict(out_indices=(2,)),
    propagator=dict(
        type='hvc_mm.LabelPropagator',
        radius=12,
        topk=15,
        temperature=0.1,
        context=50,
    ),
    codec=dict(type='hvc_mm.MaskCodec'),
)
