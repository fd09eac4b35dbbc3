"""backbones of hvc_mm."""
