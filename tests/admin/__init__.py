"""The admin, through Django's client."""
