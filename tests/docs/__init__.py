"""What is documented is tested."""
