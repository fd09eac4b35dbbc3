"""transforms of hvc_mm."""
