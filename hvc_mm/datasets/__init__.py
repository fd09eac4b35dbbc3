"""datasets of hvc_mm."""
