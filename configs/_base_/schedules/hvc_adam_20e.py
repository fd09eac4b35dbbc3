# The paper's recipe: Adam, lr 1e-3 constant, no weight decay, batch 128,
# 20 epochs.
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='Adam', lr=1e-3, weight_decay=0),
)
param_scheduler = []
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=20)
# What `--auto-scale-lr` compares the actual batch size with.
auto_scale_lr = dict(enable=False, base_batch_size=128)
