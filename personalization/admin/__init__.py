"""The workbench of readers: segments and what they are made of, what refreshes found, keys, and seeing as another."""

from personalization.admin import declared, keys, runs, segments

__all__ = ["declared", "keys", "runs", "segments"]
