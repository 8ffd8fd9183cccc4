"""What `personalization` promises."""
