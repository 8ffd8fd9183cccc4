"""Events at rest: what happened, once; the catalogue of what may happen; and counts of what was not kept.

`Event` is partitioned by the month of `happened_at` (`personalization/partitions.py`), so that what is past its time
is dropped with its partition. A partitioned table cannot keep a message from being stored twice: `EventSeen` does.
"""

from django.contrib.postgres.fields import ArrayField
from django.db import models

from cms.models import Site


class Event(models.Model):
    site = models.ForeignKey(  # no constraint: it would be checked once per row of a batch, and sites stay
        Site, on_delete=models.PROTECT, related_name="+", db_index=False, db_constraint=False
    )
    key_prefix = models.CharField(max_length=16, help_text="The write key it came with.")
    message_id = models.CharField(max_length=100)
    subject_key = models.UUIDField()
    kind = models.CharField(max_length=10)
    name = models.CharField(max_length=200)
    properties = models.JSONField(default=dict)
    happened_at = models.DateTimeField()
    received_at = models.DateTimeField()
    purposes = ArrayField(
        models.CharField(max_length=50), help_text="What it may be used for, stamped at receipt."
    )

    class Meta:
        indexes = [
            models.Index(fields=["subject_key", "happened_at"], name="event_by_subject"),
            models.Index(fields=["name", "happened_at"], name="event_by_name"),
        ]

    def __str__(self) -> str:
        return self.name


class EventSeen(models.Model):
    """That a message was stored, for thirty days: a digest of its write key and `messageId`."""

    digest = models.UUIDField(primary_key=True)
    seen_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["seen_at"], name="event_seen_at")]

    def __str__(self) -> str:
        return str(self.digest)


class EventType(models.Model):
    """One name of the catalogue of events: what it means, what it looks like, what it may be used for."""

    site = models.ForeignKey(Site, on_delete=models.CASCADE, related_name="event_types")
    key = models.CharField(max_length=200, help_text="The name that clients send, such as Product Viewed.")
    title = models.CharField(max_length=200, blank=True)
    description = models.TextField(blank=True)
    schema = models.JSONField(
        default=dict, blank=True, help_text="JSON Schema of its properties; empty takes everything."
    )
    purposes = ArrayField(
        models.CharField(max_length=50),
        default=list,
        blank=True,
        help_text="What it may be used for, where allowed; empty means analytics, personalization and profiling.",
    )
    from_server = models.BooleanField(default=False, help_text="Taken from secret keys only.")
    declared = models.BooleanField(
        default=True, help_text="Off for a name that was only ever seen; strict sites drop those."
    )
    retention_days = models.PositiveIntegerField(
        null=True, blank=True, help_text="Kept for so many days; empty means as long as its purposes say."
    )
    sample = models.JSONField(
        null=True, blank=True, editable=False, help_text="The shape of one: names and types, no values."
    )
    sampled_at = models.DateTimeField(null=True, editable=False)
    first_seen_at = models.DateTimeField(null=True, editable=False)
    last_seen_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        ordering = ["key"]
        constraints = [models.UniqueConstraint(fields=["site", "key"], name="event_type_key_once")]

    def __str__(self) -> str:
        return self.title or self.key


class EventCount(models.Model):
    """How many messages of a name came on a day, and what became of them; a number without persons."""

    site = models.ForeignKey(Site, on_delete=models.CASCADE, related_name="+")
    day = models.DateField()
    name = models.CharField(max_length=200)
    reason = models.CharField(
        max_length=40, blank=True, help_text="Why they were dropped; empty for those that were kept."
    )
    count = models.PositiveBigIntegerField(default=0)
    last_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["site", "day", "name", "reason"], name="event_count_once")
        ]

    def __str__(self) -> str:
        return f"{self.day} {self.name} {self.reason}"


class Exposure(models.Model):
    """That somebody was shown a variant, for pacing and reports."""

    key = models.UUIDField(unique=True)
    site = models.ForeignKey(  # no constraint: it would be checked once per row of a batch, and sites stay
        Site, on_delete=models.PROTECT, related_name="+", db_index=False, db_constraint=False
    )
    subject_key = models.UUIDField()
    placement = models.CharField(max_length=700, help_text="The page's path, and the placement on it.")
    variant = models.CharField(max_length=100)
    counters = ArrayField(models.CharField(max_length=900), help_text="The caps that it counts for.")
    decision = models.CharField(max_length=200, blank=True)
    at = models.DateTimeField()
    purposes = ArrayField(models.CharField(max_length=50))

    class Meta:
        indexes = [
            models.Index(fields=["subject_key", "at"], name="exposure_by_subject"),
            models.Index(fields=["at"], name="exposure_at"),
        ]

    def __str__(self) -> str:
        return f"{self.placement}: {self.variant}"


class DeadLetter(models.Model):
    """Work that failed eight times, with its cause; it can be replayed."""

    kind = models.CharField(max_length=40)
    reference = models.CharField(max_length=100, help_text="What it was about: an id, never a person's data.")
    attempts = models.PositiveIntegerField(default=0)
    error = models.TextField()
    created_at = models.DateTimeField()
    replayed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        constraints = [models.UniqueConstraint(fields=["kind", "reference"], name="dead_letter_once")]

    def __str__(self) -> str:
        return f"{self.kind} {self.reference}"
