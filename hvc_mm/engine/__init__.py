"""engine of hvc_mm."""
