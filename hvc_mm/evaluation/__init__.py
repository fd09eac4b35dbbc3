"""evaluation of hvc_mm."""
