"""Traits, attributes and segments as editors declare them; memberships and runs as the worker keeps them."""

from typing import Any, Final

from django.contrib.postgres.fields import ArrayField
from django.core.validators import MinValueValidator
from django.db import models
from simple_history.models import HistoricalRecords

from cms.keys import key_field
from cms.models import Site
from consent.gates import SENSITIVE

TRAIT_TYPES = ("text", "number", "boolean", "date", "list")


# what somebody may wish to see nothing about, whatever they allow otherwise
TOPICS = (
    ("alcohol", "Alcohol"),
    ("dating", "Dating"),
    ("gambling", "Gambling"),
    ("parenting", "Pregnancy and parenting"),
    ("weight_loss", "Weight loss"),
)


def label_field() -> "models.JSONField[Any, Any]":
    """How visitors are told of something, per locale."""
    return models.JSONField(
        default=dict,
        blank=True,
        help_text="What visitors read about it, per locale; without one they read the title.",
    )


PAGES: Final = "personalization"


class Trait(models.Model):
    """A declared fact about people; what nobody declared is dropped."""

    class Source(models.TextChoices):
        ANYWHERE = "anywhere", "Anyone with a write key"
        SERVER = "server", "A secret key only"

    site = models.ForeignKey(Site, on_delete=models.PROTECT, related_name="traits")
    key = key_field()
    title = models.CharField(max_length=200, blank=True)
    type = models.CharField(max_length=10, choices=[(t, t) for t in TRAIT_TYPES])
    purpose = models.CharField(max_length=50, help_text="The key of the purpose that must be granted.")
    source = models.CharField(max_length=10, choices=Source.choices, default=Source.ANYWHERE)
    identifying = models.BooleanField(
        default=False,
        help_text="Name, e-mail, phone, address: kept encrypted; placeholders may read it, rules may not.",
    )
    default = models.JSONField(
        default=dict, blank=True, help_text="What placeholders show instead, per locale."
    )
    label = label_field()
    history = HistoricalRecords()

    class Meta:
        ordering = ["key"]
        constraints = [models.UniqueConstraint(fields=["site", "key"], name="trait_key_once")]

    def __str__(self) -> str:
        return self.title or self.key

    @property
    def purposes(self) -> frozenset[str]:
        """The purposes that must all be granted: `sensitive` comes in addition to what pages are made for."""
        return frozenset({self.purpose, PAGES} if self.purpose == SENSITIVE else {self.purpose})


class Attribute(models.Model):
    """A value that segments carry for placeholders, `user.segment.KEY`."""

    site = models.ForeignKey(Site, on_delete=models.PROTECT, related_name="attributes")
    key = key_field()
    default = models.JSONField(
        default=dict, blank=True, help_text="What placeholders show instead, per locale."
    )

    class Meta:
        ordering = ["key"]
        constraints = [models.UniqueConstraint(fields=["site", "key"], name="attribute_key_once")]

    def __str__(self) -> str:
        return self.key


class Segment(models.Model):
    class Kind(models.TextChoices):
        RULE = "rule", "By rule"
        SCORE = "score", "By score"
        LIST = "list", "By list"

    site = models.ForeignKey(Site, on_delete=models.PROTECT, related_name="segments")
    key = key_field()
    title = models.CharField(max_length=200)
    kind = models.CharField(max_length=10, choices=Kind.choices, default=Kind.RULE)
    rule = models.JSONField(default=dict, blank=True)
    score = models.JSONField(
        default=dict,
        blank=True,
        help_text="Points per condition, with caps and decay, and the threshold to enter.",
    )
    tiers = models.SlugField(
        max_length=100,
        blank=True,
        help_text="Segments that name the same tiers exclude each other: one is in the first that holds.",
    )
    parent = models.ForeignKey(
        "self", on_delete=models.PROTECT, null=True, blank=True, related_name="children"
    )
    attributes = models.JSONField(
        default=dict, blank=True, help_text="Values for placeholders, such as discount."
    )
    purposes = ArrayField(
        models.CharField(max_length=50),
        default=list,
        blank=True,
        help_text="Of a list; a rule names its own.",
    )
    label = label_field()
    topic = models.CharField(
        max_length=20,
        choices=TOPICS,
        blank=True,
        help_text="A delicate topic: who wishes to see nothing about it is never in this segment.",
    )
    priority = models.IntegerField(default=100, help_text="Lower comes first.")
    position = models.PositiveIntegerField(default=0, editable=False)
    min_size = models.PositiveIntegerField(
        default=50,
        validators=[MinValueValidator(0)],
        help_text="It personalises only from this many people on.",
    )
    size = models.PositiveIntegerField(null=True, editable=False)
    open = models.BooleanField(default=False, editable=False)
    refreshed_at = models.DateTimeField(null=True, editable=False)
    history = HistoricalRecords(excluded_fields=["size", "open", "refreshed_at"])

    class Meta:
        ordering = ["priority", "position", "key"]
        constraints = [models.UniqueConstraint(fields=["site", "key"], name="segment_key_once")]

    def __str__(self) -> str:
        return self.title

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        """Delete the segment; raises ProtectedError while a page or another segment names it."""
        from personalization.segments.uses import uses_of

        places = uses_of(self.site, self.key)
        if places:
            raise models.ProtectedError(f"'{self.title}' is used: {'; '.join(places)}.", {self})
        return super().delete(*args, **kwargs)


class Membership(models.Model):
    """Somebody on a list; memberships by rule or score stand in `Profile.segments`."""

    segment = models.ForeignKey(Segment, on_delete=models.CASCADE, related_name="memberships")
    subject_key = models.UUIDField(db_index=True)
    entered_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["segment", "subject_key"], name="membership_once")]

    def __str__(self) -> str:
        return f"{self.segment}: {self.subject_key}"


class SegmentChange(models.Model):
    """Somebody entered or left a segment: the log that timelines show, and the outbox of webhooks and tasks."""

    class Cause(models.TextChoices):
        EVENT = "event", "Something happened"
        TIME = "time", "Time passed"
        SET = "set", "All were looked at"
        LIST = "list", "A list was changed"
        CONSENT = "consent", "Consent was withdrawn"

    site = models.ForeignKey(Site, on_delete=models.CASCADE, related_name="+", db_index=False)
    segment = models.ForeignKey(Segment, on_delete=models.CASCADE, related_name="changes", db_index=False)
    subject_key = models.UUIDField()
    entered = models.BooleanField()
    at = models.DateTimeField()
    cause = models.CharField(max_length=10, choices=Cause.choices)
    event = models.CharField(max_length=200, blank=True, help_text="The name of the event that caused it.")
    announced_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(fields=["subject_key", "at"], name="segment_change_by_subject"),
            models.Index(fields=["segment", "at"], name="segment_change_by_segment"),
            models.Index(
                fields=["id"], condition=models.Q(announced_at__isnull=True), name="segment_change_waiting"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.segment_id} {'entered' if self.entered else 'left'}"


class SegmentSize(models.Model):
    """How many people a segment held at a moment; at most one row an hour."""

    segment = models.ForeignKey(Segment, on_delete=models.CASCADE, related_name="sizes", db_index=False)
    at = models.DateTimeField()
    size = models.PositiveIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["segment", "at"], name="segment_size_once")]

    def __str__(self) -> str:
        return f"{self.segment_id}: {self.size}"


class SegmentRun(models.Model):
    """One refresh: of everybody, of what was touched, or of those for whom time changed something."""

    class Scope(models.TextChoices):
        EVERYBODY = "everybody", "Everybody"
        BACKFILL = "backfill", "Behaviour of new rules"

    class State(models.TextChoices):
        RUNNING = "running", "Running"
        DONE = "done", "Done"
        FAILED = "failed", "Failed"

    site = models.ForeignKey(Site, on_delete=models.CASCADE, related_name="+")
    scope = models.CharField(max_length=10, choices=Scope.choices)
    state = models.CharField(max_length=10, choices=State.choices, default=State.RUNNING)
    started_at = models.DateTimeField()
    alive_at = models.DateTimeField(null=True, help_text="A run that is silent for long is released.")
    finished_at = models.DateTimeField(null=True)
    total = models.PositiveIntegerField(default=0, help_text="How many profiles there are to look at.")
    error = models.TextField(blank=True)
    profiles = models.PositiveIntegerField(default=0)
    entered = models.PositiveIntegerField(default=0)
    left = models.PositiveIntegerField(default=0)
    differences = models.JSONField(default=dict, help_text="Segment → entered and left.")
    decides = models.CharField(
        max_length=16, blank=True, help_text="The digest of the rules that it looked at everybody with."
    )

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.get_scope_display()}, {self.started_at:%Y-%m-%d %H:%M}"


class Directory(models.Model):
    """Facts, segments and attributes of a site, compiled; one immutable row per version."""

    site = models.ForeignKey(Site, on_delete=models.CASCADE, related_name="directories")
    version = models.PositiveBigIntegerField()
    program = models.JSONField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["site", "version"], name="directory_version_once")]

    def __str__(self) -> str:
        return f"{self.site} · {self.version}"
