"""What `consent` promises."""
