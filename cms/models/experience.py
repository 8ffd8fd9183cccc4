"""Experiences: variants of several placements that belong together, and how often and how steadily one person is shown them."""

from django.db import models

from cms.keys import key_field
from cms.models.site import Site


class Experience(models.Model):
    site = models.ForeignKey(Site, on_delete=models.CASCADE, related_name="experiences")
    key = key_field()
    title = models.CharField(max_length=200)
    cap = models.JSONField(
        null=True,
        blank=True,
        help_text='At most so often per person, over all of its variants: {"times": 1, "within": "P7D"}.',
    )

    min_interval = models.CharField(
        max_length=20,
        blank=True,
        help_text="Where one of its variants is shown, it changes at most so often, as long as both hold: PT15M.",
    )

    class Meta:
        ordering = ["key"]
        constraints = [models.UniqueConstraint(fields=["site", "key"], name="experience_key_once")]

    def __str__(self) -> str:
        return self.title or self.key
