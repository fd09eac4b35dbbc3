"""utils of hvc_mm."""
