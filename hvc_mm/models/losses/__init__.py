"""losses of hvc_mm."""
