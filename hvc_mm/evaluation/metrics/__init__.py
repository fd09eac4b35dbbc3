"""metrics of hvc_mm."""
