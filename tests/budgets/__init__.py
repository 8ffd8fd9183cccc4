"""What a request may cost."""
