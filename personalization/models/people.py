"""Profiles and what happened.

`Profile.version` grows with every change; `snapshot_version` and `segmented_version` say how far the copies in Redis
and the stored memberships have followed. What lags is found by the sweep.
"""

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import F, Q

from cms.models import Site


class Profile(models.Model):
    subject_key = models.UUIDField(primary_key=True)
    site = models.ForeignKey(Site, on_delete=models.PROTECT, related_name="+")
    traits = models.JSONField(default=dict, help_text="Declared traits by key.")
    sealed = models.BinaryField(
        null=True, help_text="Identifying traits, encrypted with the subject's own key."
    )
    orders = models.PositiveIntegerField(default=0)
    revenue = models.DecimalField(max_digits=16, decimal_places=4, default=0)
    first_order_at = models.DateTimeField(null=True)
    last_order_at = models.DateTimeField(null=True)
    categories = models.JSONField(
        default=dict, help_text="Category → number of items bought; the 50 most bought."
    )
    held = ArrayField(
        models.CharField(max_length=50), default=list, help_text="Purposes for which something is kept."
    )
    version = models.PositiveBigIntegerField(default=1)
    snapshot_version = models.PositiveBigIntegerField(default=0)
    segmented_version = models.PositiveBigIntegerField(default=0)
    first_seen_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()

    class Meta:
        indexes = [
            models.Index(
                fields=["subject_key"],
                condition=Q(segmented_version__lt=F("version")),
                name="profile_to_segment",
            ),
            models.Index(
                fields=["subject_key"],
                condition=Q(snapshot_version__lt=F("version")),
                name="profile_to_snapshot",
            ),
            GinIndex(fields=["held"], name="profile_held"),
        ]

    def __str__(self) -> str:
        return str(self.subject_key)


class Event(models.Model):
    site = models.ForeignKey(Site, on_delete=models.PROTECT, related_name="+")
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
        constraints = [models.UniqueConstraint(fields=["key_prefix", "message_id"], name="event_once")]
        indexes = [models.Index(fields=["subject_key", "-happened_at"], name="event_by_subject")]

    def __str__(self) -> str:
        return self.name


class ItemSales(models.Model):
    """How often an item of a catalogue was bought, over everybody: a number without persons."""

    site = models.ForeignKey(Site, on_delete=models.PROTECT, related_name="+")
    item = models.CharField(max_length=100)
    category = models.CharField(max_length=100, blank=True)
    quantity = models.PositiveBigIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["site", "item"], name="item_sales_once")]

    def __str__(self) -> str:
        return self.item
