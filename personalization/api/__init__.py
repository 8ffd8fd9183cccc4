"""The doors of personalization: each translates a request, makes one call, translates back."""
