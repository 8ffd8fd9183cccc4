"""One site: its host, its locales, its time zone, and the versions that processes compare.

`epoch` grows with anything that changes what is delivered; the other two say what has to be read again.
"""

import datetime as dt
import zoneinfo

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import F
from django.db.models.expressions import Combinable

from cms.keys import key_field


def _time_zone(value: str) -> None:
    if value not in zoneinfo.available_timezones():
        raise ValidationError(f"'{value}' is not a time zone. Use an IANA name such as Europe/Berlin.")


def _default_locales() -> list[str]:
    return list(settings.LOCALES)


class Site(models.Model):
    key = key_field(unique=True)
    title = models.CharField(max_length=200)
    host = models.CharField(max_length=253, default="localhost", help_text="Where readers open it.")
    locales = ArrayField(
        models.CharField(max_length=12), default=_default_locales, help_text="The first one is the default."
    )
    time_zone = models.CharField(
        max_length=64,
        default="UTC",
        validators=[_time_zone],
        help_text="Rules over the time of day use it when a reader's own is not known.",
    )
    requires_key = models.BooleanField(
        default=False, help_text="Published pages are answered only to a key with the scope 'deliver'."
    )
    offer_cap = models.JSONField(
        null=True,
        blank=True,
        help_text='At most so many offers per person, over all pages: {"times": 1, "within": "P7D"}.',
    )
    counts_when_seen = models.BooleanField(
        default=False,
        help_text="Caps count what the snippet says was seen (Placement Seen), not every page that was sent.",
    )
    strict_events = models.BooleanField(
        default=False,
        help_text="Take only events of the catalogue, in their declared shape, and refuse rules over others.",
    )
    recalculated_at = models.TimeField(
        "Recalculate segments at",
        default=dt.time(3, 10),
        help_text="Every day at this time of the site, all segments are worked out anew; what happens in between shows at once.",
    )
    epoch = models.PositiveBigIntegerField(default=1, editable=False)
    directory_version = models.PositiveBigIntegerField(default=1, editable=False)
    catalogue_version = models.PositiveBigIntegerField(default=1, editable=False)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=models.Q(locales__len__gt=0), name="site_has_a_locale"),
        ]

    def __str__(self) -> str:
        return self.title

    @property
    def default_locale(self) -> str:
        return self.locales[0]

    def last_recalculation(self, now: dt.datetime) -> dt.datetime:
        """Return the last moment at which all segments were to be worked out anew."""
        here = now.astimezone(zoneinfo.ZoneInfo(self.time_zone))
        today = dt.datetime.combine(here.date(), self.recalculated_at, here.tzinfo)
        return (
            today
            if today <= here
            else dt.datetime.combine(here.date() - dt.timedelta(days=1), self.recalculated_at, here.tzinfo)
        )

    def advance(self, *, directory: bool = False, catalogue: bool = False) -> None:
        """Grow the epoch (and what it stands for) in the running transaction, then announce it."""
        changed: dict[str, Combinable] = {"epoch": F("epoch") + 1}
        if directory:
            changed["directory_version"] = F("directory_version") + 1
        if catalogue:
            changed["catalogue_version"] = F("catalogue_version") + 1
        Site.objects.filter(pk=self.pk).update(**changed)
        self.refresh_from_db(fields=list(changed))
        from cms.signals import announce  # signals import nothing of the models

        announce(site_id=self.pk, epoch=self.epoch)


def current_site() -> Site:
    """Return the one site, made on first use."""
    site = Site.objects.order_by("pk").first()
    return site or Site.objects.get_or_create(key="main", defaults={"title": "Main site"})[0]
