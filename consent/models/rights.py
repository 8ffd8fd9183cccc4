"""What people ask for beside a decision: their rights, each with a deadline; and how personal the site feels to them."""

import uuid

from django.db import models


class PrivacyRequest(models.Model):
    """One right that somebody exercised: what was asked, by when it is due, and how far it is.

    An export waits encrypted with the person's own key until it is fetched, once, or runs out. After an erasure the row
    stays without its subject: it proves that the right was answered in time.
    """

    class Kind(models.TextChoices):
        EXPORT = "export", "Access and portability"
        RECTIFY = "rectify", "Rectification"
        ERASE = "erase", "Erasure"
        OBJECT = "object", "Objection"
        RESET = "reset", "Forget what one did"
        PAUSE = "pause", "Restriction: a pause"
        OPT_OUT = "opt_out", "Do not sell or share"
        LIMIT = "limit", "Limit the use of sensitive data"

    class State(models.TextChoices):
        VERIFYING = "verifying", "Identity to be checked"
        WAITING = "waiting", "Waiting"
        WORKING = "working", "In progress"
        READY = "ready", "Ready to be fetched"
        DONE = "done", "Done"
        UNDONE = "undone", "Taken back"
        REFUSED = "refused", "Refused"
        EXPIRED = "expired", "Not fetched in time"
        FAILED = "failed", "Failed"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    site_id = models.PositiveBigIntegerField(default=1)
    kind = models.CharField(max_length=10, choices=Kind.choices)
    subject_key = models.UUIDField(null=True, db_index=True, help_text="Empty: erased since.")
    regime = models.CharField(max_length=30)
    channel = models.CharField(max_length=30, help_text="dashboard, api, or key:NAME.")
    verification = models.CharField(
        max_length=30, blank=True, help_text="How we know that it is them: token, user, key or staff."
    )
    state = models.CharField(max_length=10, choices=State.choices, default=State.WAITING)
    received_at = models.DateTimeField()
    due_at = models.DateTimeField(help_text="By when the law wants an answer.")
    not_before = models.DateTimeField(help_text="Until then it can be taken back.")
    done_at = models.DateTimeField(null=True, blank=True)
    details = models.JSONField(
        default=dict, blank=True, help_text="What was asked in particular, as keys and numbers."
    )
    said_enc = models.BinaryField(
        null=True,
        help_text="What would be right, in the person's words, encrypted with their own key, until it is answered.",
    )
    parts_done = models.PositiveIntegerField(default=0)
    parts = models.PositiveIntegerField(default=0)
    attempts = models.PositiveIntegerField(default=0)
    error = models.CharField(max_length=300, blank=True)
    answer = models.CharField(
        max_length=500, blank=True, help_text="What the person is told, where it was refused."
    )
    result_enc = models.BinaryField(null=True)
    result_expires = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-received_at"]
        indexes = [
            models.Index(
                fields=["not_before"],
                condition=models.Q(state__in=["waiting", "working", "ready"]),
                name="privacy_request_open",
            )
        ]
        permissions = [("answer_privacyrequest", "Can confirm identities and refuse requests")]

    def __str__(self) -> str:
        return str(self.get_kind_display())


class Feeling(models.Model):
    """How personal the site felt to people on a day: counts alone, of nobody in particular."""

    site_id = models.PositiveBigIntegerField(default=1)
    day = models.DateField()
    level = models.PositiveSmallIntegerField(
        help_text="1: far too personal … 3: just right … 5: not personal enough."
    )
    count = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ["-day", "level"]
        constraints = [models.UniqueConstraint(fields=["site_id", "day", "level"], name="feeling_once")]

    def __str__(self) -> str:
        return f"{self.day}: {self.level}"
