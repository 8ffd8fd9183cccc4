"""Block types, blocks with their revisions, and media.

A block's `data` is the editor's working copy. Saving it through `cms.content` adds a revision; publishing
points `published` at one. Items of a catalogue type have no revisions: their `data` is live while `live` holds.
"""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from simple_history.models import HistoricalRecords

from cms.keys import key_field
from cms.models.site import Site


class BlockType(models.Model):
    site = models.ForeignKey(Site, on_delete=models.PROTECT, related_name="block_types")
    key = key_field()
    title = models.CharField(max_length=200)
    fields = models.JSONField(default=list, help_text="The fields of a block of this type, in order.")
    catalogue = models.BooleanField(
        default=False,
        help_text="Items are fed from outside, have no revisions and are never copied into pages.",
    )
    source = models.TextField(
        blank=True,
        help_text="Jinja2 that renders one block to HTML; sees 'fields' and 'block'. Empty: a plain rendering.",
    )
    version = models.PositiveIntegerField(default=1, editable=False)
    history = HistoricalRecords()

    class Meta:
        ordering = ["title"]
        constraints = [models.UniqueConstraint(fields=["site", "key"], name="block_type_key_once")]

    def __str__(self) -> str:
        return self.title


class Block(models.Model):
    site = models.ForeignKey(Site, on_delete=models.PROTECT, related_name="blocks")
    uid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    key = key_field()
    type = models.ForeignKey(BlockType, on_delete=models.PROTECT, related_name="blocks")
    data = models.JSONField(default=dict, blank=True)
    published = models.ForeignKey(
        "BlockRevision", on_delete=models.PROTECT, null=True, blank=True, related_name="+", editable=False
    )
    live = models.BooleanField(default=False, editable=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, editable=False
    )
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["key"]
        constraints = [
            models.UniqueConstraint(fields=["site", "key"], name="block_key_once"),
            models.CheckConstraint(
                condition=Q(published__isnull=True) | Q(live=False),
                name="block_is_published_or_live_not_both",
            ),
        ]
        indexes = [models.Index(fields=["type", "live"], name="block_by_type")]

    def __str__(self) -> str:
        return self.key

    @property
    def served(self) -> bool:
        return self.live or self.published_id is not None


class BlockRevision(models.Model):
    block = models.ForeignKey(Block, on_delete=models.CASCADE, related_name="revisions")
    n = models.PositiveIntegerField()
    data = models.JSONField()
    created_at = models.DateTimeField()
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True)

    class Meta:
        ordering = ["-n"]
        constraints = [models.UniqueConstraint(fields=["block", "n"], name="block_revision_once")]

    def __str__(self) -> str:
        return f"{self.block} · {self.n}"


class BlockReference(models.Model):
    """One block names another one; what is named cannot be deleted."""

    source = models.ForeignKey(Block, on_delete=models.CASCADE, related_name="references")
    target = models.ForeignKey(Block, on_delete=models.PROTECT, related_name="used_by")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["source", "target"], name="block_reference_once")]

    def __str__(self) -> str:
        return f"{self.source} → {self.target}"


def _media_path(media: "Media", name: str) -> str:
    """Name an upload at random; its ending comes from what the file is, not from what it is called."""
    return f"{uuid.uuid4().hex}.{name.rsplit('.', 1)[-1]}"


class Media(models.Model):
    site = models.ForeignKey(Site, on_delete=models.PROTECT, related_name="media")
    key = key_field()
    file = models.ImageField(upload_to=_media_path)
    alt = models.JSONField(default=dict, blank=True, help_text="What the picture shows, per locale.")
    width = models.PositiveIntegerField(default=0, editable=False)
    height = models.PositiveIntegerField(default=0, editable=False)
    checksum = models.CharField(max_length=64, editable=False, default="")

    class Meta:
        ordering = ["key"]
        verbose_name_plural = "media"
        constraints = [models.UniqueConstraint(fields=["site", "key"], name="media_key_once")]

    def __str__(self) -> str:
        return self.key
