"""The doors of consent: the API of visitors and the page for people."""
