"""optim_wrappers of hvc_mm."""
