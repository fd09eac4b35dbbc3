"""codecs of hvc_mm."""
