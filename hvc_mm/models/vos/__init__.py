"""vos of hvc_mm."""
