# MSRA10k's images (.jpg; its masks are .png in the same folder), from the
# official download or the HVC release's folder.
_base_ = './paired_views.py'

train_dataloader = dict(
    dataset=dict(
        type='ImageFolderDataset',
        data_root='{{$HVC_DATA_ROOT:data}}',
        any_of=['MSRA10K_Imgs_GT/Imgs', 'Static/JPEGImages/MSRA10K'],
        suffixes=['.jpg'],
    )
)
