"""models of hvc_mm."""
