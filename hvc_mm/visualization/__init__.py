"""visualization of hvc_mm."""
