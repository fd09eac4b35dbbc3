"""heads of hvc_mm."""
