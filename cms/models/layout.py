"""Templates with slots; pages with placements and their variants, in the order in which they are tried.

The rows are the editor's working copy and may be incomplete; what must be complete is checked at publish.
"""

from django.db import models
from django.db.models import Deferrable, F, Q
from simple_history.models import HistoricalRecords

from cms.keys import key_field
from cms.models.content import Block, BlockRevision
from cms.models.experience import Experience
from cms.models.site import Site
from cms.paths import valid_path


class Template(models.Model):
    site = models.ForeignKey(Site, on_delete=models.PROTECT, related_name="templates")
    key = key_field()
    title = models.CharField(max_length=200)
    slots = models.JSONField(default=list, help_text="The named places of the template, in order.")
    source = models.TextField(
        blank=True,
        help_text="Jinja2 that renders the page; sees 'page', 'slots' and 'site'. Empty: a plain rendering.",
    )
    history = HistoricalRecords()

    class Meta:
        ordering = ["title"]
        constraints = [models.UniqueConstraint(fields=["site", "key"], name="template_key_once")]

    def __str__(self) -> str:
        return self.title


class Page(models.Model):
    site = models.ForeignKey(Site, on_delete=models.PROTECT, related_name="pages")
    path = models.CharField(max_length=500, validators=[valid_path], help_text="Such as / or /outdoor/boots")
    title = models.JSONField(default=dict, help_text="Per locale.")
    meta = models.JSONField(
        default=dict, blank=True, help_text="Anything a frontend wants to know about the page."
    )
    go_live_at = models.DateTimeField(null=True, blank=True, help_text="Empty: as soon as it is published.")
    expire_at = models.DateTimeField(null=True, blank=True, help_text="Exclusive. Empty: never.")
    published = models.ForeignKey(
        "PageRevision", on_delete=models.PROTECT, null=True, blank=True, related_name="+", editable=False
    )
    compile_cause = models.CharField(
        max_length=200,
        blank=True,
        default="",
        editable=False,
        help_text="Why the worker has to compile it again.",
    )
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["path"]
        indexes = [
            models.Index(fields=["id"], condition=~Q(compile_cause=""), name="page_to_compile"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["site", "path"], name="page_path_once"),
            models.CheckConstraint(
                condition=Q(go_live_at__isnull=True)
                | Q(expire_at__isnull=True)
                | Q(go_live_at__lt=F("expire_at")),
                name="page_lives_before_it_expires",
            ),
        ]

    def __str__(self) -> str:
        return self.path

    @property
    def depth(self) -> int:
        return 0 if self.path == "/" else self.path.count("/")


class PageTemplate(models.Model):
    """One template of a page; the first whose rule holds is used, the last one has none."""

    page = models.ForeignKey(Page, on_delete=models.CASCADE, related_name="templates")
    position = models.PositiveIntegerField(default=0)
    template = models.ForeignKey(Template, on_delete=models.PROTECT, related_name="pages")
    rule = models.JSONField(null=True, blank=True)
    is_default = models.BooleanField(default=False)

    class Meta:
        ordering = ["position"]
        constraints = [
            models.UniqueConstraint(
                fields=["page", "position"],
                name="page_template_position_once",
                deferrable=Deferrable.DEFERRED,
            ),
            models.UniqueConstraint(
                fields=["page"], condition=Q(is_default=True), name="page_template_one_default"
            ),
            models.CheckConstraint(
                condition=Q(is_default=False) | Q(rule__isnull=True), name="page_template_default_has_no_rule"
            ),
        ]

    def __str__(self) -> str:
        return str(self.template)


class Placement(models.Model):
    page = models.ForeignKey(Page, on_delete=models.CASCADE, related_name="placements")
    slot = models.CharField(max_length=100)
    position = models.PositiveIntegerField(default=0)
    key = key_field()
    min_interval = models.CharField(
        max_length=20,
        blank=True,
        help_text="What it shows changes at most so often, as long as both variants hold: PT15M.",
    )
    rotation = models.JSONField(
        null=True,
        blank=True,
        help_text='Of the variants that hold, each has its turn: {"kind": "weighted", "every": "P1D"}.',
    )

    class Meta:
        ordering = ["slot", "position"]
        constraints = [
            models.UniqueConstraint(fields=["page", "key"], name="placement_key_once"),
            models.UniqueConstraint(
                fields=["page", "slot", "position"],
                name="placement_position_once",
                deferrable=Deferrable.DEFERRED,
            ),
        ]

    def __str__(self) -> str:
        return self.key


class Variant(models.Model):
    class Kind(models.TextChoices):
        REPLACE = "replace", "Show another block"
        OVERRIDE = "override", "Change fields of the default's block"
        HIDE = "hide", "Show nothing"

    placement = models.ForeignKey(Placement, on_delete=models.CASCADE, related_name="variants")
    position = models.PositiveIntegerField(default=0)
    key = key_field()
    kind = models.CharField(max_length=10, choices=Kind.choices, default=Kind.REPLACE)
    block = models.ForeignKey(Block, on_delete=models.PROTECT, null=True, blank=True, related_name="variants")
    overrides = models.JSONField(null=True, blank=True)
    base_revision = models.ForeignKey(
        BlockRevision, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", editable=False
    )
    rule = models.JSONField(null=True, blank=True)
    starts_at = models.DateTimeField(null=True, blank=True)
    ends_at = models.DateTimeField(null=True, blank=True, help_text="Exclusive.")
    cap = models.JSONField(
        null=True, blank=True, help_text='At most so often per person: {"times": 1, "within": "P7D"}.'
    )
    offer = models.BooleanField(
        default=False, help_text="Counts among the offers that the site's cap is about."
    )
    weight = models.PositiveIntegerField(default=1, help_text="Its share where variants take turns.")
    experience = models.ForeignKey(
        Experience, on_delete=models.PROTECT, null=True, blank=True, related_name="variants"
    )
    is_default = models.BooleanField(default=False)

    class Meta:
        ordering = ["position"]
        constraints = [
            models.UniqueConstraint(fields=["placement", "key"], name="variant_key_once"),
            models.UniqueConstraint(
                fields=["placement", "position"], name="variant_position_once", deferrable=Deferrable.DEFERRED
            ),
            models.UniqueConstraint(
                fields=["placement"], condition=Q(is_default=True), name="variant_one_default"
            ),
            models.CheckConstraint(
                condition=Q(is_default=False)
                | Q(
                    kind="replace",
                    rule__isnull=True,
                    starts_at__isnull=True,
                    ends_at__isnull=True,
                    cap__isnull=True,
                ),
                name="variant_default_is_plain",
            ),
            models.CheckConstraint(
                condition=Q(kind="replace", overrides__isnull=True)
                | Q(kind="override", block__isnull=True, overrides__isnull=False)
                | Q(kind="hide", block__isnull=True, overrides__isnull=True),
                name="variant_kind_and_columns_agree",
            ),
            models.CheckConstraint(
                condition=Q(starts_at__isnull=True) | Q(ends_at__isnull=True) | Q(starts_at__lt=F("ends_at")),
                name="variant_starts_before_it_ends",
            ),
        ]

    def __str__(self) -> str:
        return self.key
