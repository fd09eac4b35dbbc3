"""samplers of hvc_mm."""
