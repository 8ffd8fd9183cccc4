"""What was published: revisions of pages as editors wrote them, and the plans they were compiled into.

A revision and its plans are immutable; one plan per page × locale × revision.
"""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models

from cms.models.layout import Page


class PageRevision(models.Model):
    page = models.ForeignKey(Page, on_delete=models.CASCADE, related_name="revisions")
    n = models.PositiveIntegerField()
    content = models.JSONField(help_text="The page as a bundle spells it.")
    cause = models.CharField(max_length=200, blank=True)
    published_at = models.DateTimeField()
    published_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True
    )

    class Meta:
        ordering = ["-n"]
        constraints = [models.UniqueConstraint(fields=["page", "n"], name="page_revision_once")]

    def __str__(self) -> str:
        return f"{self.page} · {self.n}"


class Plan(models.Model):
    page = models.ForeignKey(Page, on_delete=models.CASCADE, related_name="plans")
    revision = models.ForeignKey(PageRevision, on_delete=models.CASCADE, related_name="plans")
    locale = models.CharField(max_length=12)
    program = models.JSONField()
    checksum = models.CharField(max_length=64)
    starts_at = models.DateTimeField(null=True, blank=True)
    ends_at = models.DateTimeField(null=True, blank=True, help_text="Exclusive.")
    active = models.BooleanField(default=True, help_text="Served while its dates hold.")
    blocks = ArrayField(models.BigIntegerField(), default=list)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["revision", "locale"], name="plan_once")]
        indexes = [
            models.Index(fields=["page", "locale"], condition=models.Q(active=True), name="plan_served"),
            GinIndex(fields=["blocks"], name="plan_blocks"),
        ]

    def __str__(self) -> str:
        return f"{self.revision} · {self.locale}"
