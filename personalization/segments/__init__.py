"""Segments: the directory that delivery reads, the vocabulary that rules may name, and who is in which."""
