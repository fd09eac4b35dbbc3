"""selfsup of hvc_mm."""
