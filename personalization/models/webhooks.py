"""Webhooks out and triggers: who is told that somebody entered or left a segment, and each telling with its fate."""

from django.contrib.postgres.fields import ArrayField
from django.db import models

from cms.models import Site
from personalization.models.segments import Segment


def _both() -> list[str]:
    return ["segment.entered", "segment.left"]


class WebhookEndpoint(models.Model):
    site = models.ForeignKey(Site, on_delete=models.CASCADE, related_name="webhooks")
    title = models.CharField(max_length=200)
    url = models.URLField(max_length=500)
    secret = models.BinaryField(editable=False, help_text="Signs what is sent; encrypted at rest.")
    kinds = ArrayField(models.CharField(max_length=40), default=_both)
    segments = models.ManyToManyField(
        Segment, blank=True, related_name="webhooks", help_text="Empty means every segment."
    )
    purpose = models.CharField(
        max_length=50,
        default="marketing",
        help_text="The purpose that must be granted, beside those of the segment, before anything is told.",
    )
    active = models.BooleanField(default=True)
    previous_secret = models.BinaryField(
        null=True, editable=False, help_text="Signs beside the new one until `previous_until`."
    )
    previous_until = models.DateTimeField(null=True, editable=False)
    failing_since = models.DateTimeField(null=True, editable=False)
    failures = models.PositiveIntegerField(
        default=0, editable=False, help_text="In a row, without an answer."
    )
    paused_until = models.DateTimeField(null=True, editable=False)
    disabled_at = models.DateTimeField(null=True, editable=False)
    disabled_reason = models.TextField(blank=True, editable=False)

    class Meta:
        ordering = ["title"]

    def __str__(self) -> str:
        return self.title


class WebhookDelivery(models.Model):
    """One message to one endpoint; it holds ids, and what it tells is written when it is sent.

    Without a `change` it is a farewell: consent ended, the endpoint had been told of the entry, and is told that this
    person left. Once it has been delivered nobody is named by it any more.
    """

    class State(models.TextChoices):
        WAITING = "waiting", "Waiting"
        DONE = "done", "Delivered"
        WITHHELD = "withheld", "Withheld: consent is not given"
        FAILED = "failed", "Failed"

    endpoint = models.ForeignKey(WebhookEndpoint, on_delete=models.CASCADE, related_name="deliveries")
    message_id = models.CharField(max_length=40, unique=True)
    kind = models.CharField(max_length=40)
    change = models.BigIntegerField(
        null=True, help_text="The change of membership that it tells of; none for a farewell."
    )
    segment = models.ForeignKey(Segment, on_delete=models.CASCADE, related_name="+")
    subject_key = models.UUIDField(null=True, db_index=True)
    at = models.DateTimeField()
    state = models.CharField(max_length=10, choices=State.choices, default=State.WAITING)
    attempts = models.PositiveIntegerField(default=0)
    next_at = models.DateTimeField()
    status = models.PositiveIntegerField(null=True)
    error = models.TextField(blank=True)
    done_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name_plural = "webhook deliveries"
        ordering = ["-id"]
        constraints = [models.UniqueConstraint(fields=["endpoint", "change"], name="webhook_delivery_once")]
        indexes = [
            models.Index(
                fields=["endpoint", "next_at"],
                condition=models.Q(state="waiting"),
                name="webhook_delivery_waiting",
            )
        ]

    def __str__(self) -> str:
        return self.message_id


class TriggerRun(models.Model):
    """One piece of work for one change of membership; what it was about is read when it is done."""

    class State(models.TextChoices):
        WAITING = "waiting", "Waiting"
        DONE = "done", "Done"
        WITHHELD = "withheld", "Withheld: consent is not given"
        FAILED = "failed", "Failed"

    trigger = models.CharField(max_length=200, help_text="The name under which the work is registered.")
    change = models.BigIntegerField()
    segment = models.ForeignKey(Segment, on_delete=models.CASCADE, related_name="+")
    subject_key = models.UUIDField(db_index=True)
    entered = models.BooleanField()
    at = models.DateTimeField()
    state = models.CharField(max_length=10, choices=State.choices, default=State.WAITING)
    attempts = models.PositiveIntegerField(default=0)
    next_at = models.DateTimeField()
    error = models.TextField(blank=True)
    done_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]
        constraints = [models.UniqueConstraint(fields=["trigger", "change"], name="trigger_run_once")]
        indexes = [
            models.Index(fields=["next_at"], condition=models.Q(state="waiting"), name="trigger_run_waiting")
        ]

    def __str__(self) -> str:
        return f"{self.trigger} {self.change}"
