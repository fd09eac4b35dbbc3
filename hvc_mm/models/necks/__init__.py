"""necks of hvc_mm."""
