"""The workbench of readers: segments and what they are made of, what refreshes found, keys, and seeing as another."""

from personalization.admin import declared, events, keys, profiles, runs, segments, webhooks

__all__ = ["declared", "events", "keys", "profiles", "runs", "segments", "webhooks"]
