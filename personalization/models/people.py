"""Profiles: what is known about people.

Events come first and are folded in afterwards: `Touched` says whose profile lags, `folded_id` how far it is. Behaviour,
memberships and the next moment at which time alone changes one of them (`due_at`) are kept with the profile, so that
one row tells what delivery has to know. `version` grows with every change; `snapshot_version` says how far the copy in
Redis has followed.
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
    features = models.JSONField(
        default=dict, help_text="What else is computed: sessions, items seen and bought."
    )
    behaviour = models.JSONField(
        default=dict, help_text="Behaviour of rules → its timeline, where it is not that of nobody."
    )
    behaviour_version = models.PositiveBigIntegerField(
        default=0, help_text="The version of the directory's behaviours that it was computed for."
    )
    segments = ArrayField(
        models.BigIntegerField(), default=list, help_text="Ids of the stored segments, in order; lists apart."
    )
    due_at = models.DateTimeField(
        null=True, help_text="When a membership can next change without anything happening."
    )
    folded_id = models.BigIntegerField(default=0, help_text="The last event that is folded in.")
    held = ArrayField(
        models.CharField(max_length=50), default=list, help_text="Purposes for which something is kept."
    )
    excluded = ArrayField(
        models.CharField(max_length=120),
        default=list,
        blank=True,
        help_text="What the person took out of use: names of facts, `behaviour`, `segment:KEY`, `topic:NAME`.",
    )
    version = models.PositiveBigIntegerField(default=1)
    snapshot_version = models.PositiveBigIntegerField(default=0)
    first_seen_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()

    class Meta:
        indexes = [
            models.Index(fields=["due_at"], condition=Q(due_at__isnull=False), name="profile_due"),
            models.Index(
                fields=["subject_key"],
                condition=Q(snapshot_version__lt=F("version")),
                name="profile_to_snapshot",
            ),
            GinIndex(fields=["held"], name="profile_held"),
            GinIndex(fields=["segments"], name="profile_segments"),
            models.Index(fields=["behaviour_version"], name="profile_behaviour_version"),
            models.Index(fields=["site"], condition=~Q(excluded=[]), name="profile_with_exclusions"),
        ]

    def __str__(self) -> str:
        return str(self.subject_key)


class Touched(models.Model):
    """A profile that lags behind its events; claimed with SKIP LOCKED, and gone when it has caught up.

    `since`, `until` and `last_id` say where those events lie, so that a page need not look for them in every month;
    without them they may lie anywhere. One that cannot be folded stays: `attempts` were made, and the next is not
    before `next_at`.
    """

    site = models.ForeignKey(  # no constraint: it would be checked once per row of a batch, and sites stay
        Site, on_delete=models.PROTECT, related_name="+", db_index=False, db_constraint=False
    )
    subject_key = models.UUIDField(db_index=True)
    at = models.DateTimeField()
    since = models.DateTimeField(null=True)
    until = models.DateTimeField(null=True)
    last_id = models.BigIntegerField(null=True)
    attempts = models.PositiveSmallIntegerField(
        default=0, db_default=0
    )  # ingestion inserts without naming it
    next_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return str(self.subject_key)


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
