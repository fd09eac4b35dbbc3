# Any images: a folder, a glob pattern, or a list of them. Set it with
# --cfg-options train_dataloader.dataset.sources=...
_base_ = './paired_views.py'

train_dataloader = dict(
    dataset=dict(
        type='ImageFolderDataset',
        data_root='{{$HVC_DATA_ROOT:data}}',
        sources='images',
        recursive=True,
    )
)
