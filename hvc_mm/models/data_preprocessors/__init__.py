"""data_preprocessors of hvc_mm."""
