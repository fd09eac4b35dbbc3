"""hooks of hvc_mm."""
