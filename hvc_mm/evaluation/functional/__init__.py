"""functional of hvc_mm."""
