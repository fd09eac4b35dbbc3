"""structures of hvc_mm."""
