"""The workbench of readers: segments and what they are made of, what refreshes found, keys, seeing as another, and the
privacy desk."""

from personalization.admin import declared, events, keys, privacy_requests, profiles, runs, segments, webhooks

__all__ = ["declared", "events", "keys", "privacy_requests", "profiles", "runs", "segments", "webhooks"]
