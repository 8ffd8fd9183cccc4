"""Find the plan of a path: process memory, else PostgreSQL. What one process changes, every other sees at once.

An entry in memory is good for one epoch of the site; the current epoch comes with the visitor's record in the one
Redis read. A new epoch costs one look at the path, and what has not changed stays bound. When PostgreSQL is away,
what is in memory goes on serving.
"""

import datetime as dt
import hashlib
import hmac
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from django.conf import settings
from django.db import DatabaseError

from cms.compiler import compile_block, locale_chain
from cms.fields import parse_fields
from cms.language.text import parse_text
from cms.models import Block, Plan, Site
from cms.sources import Sources, load_sources
from config.errors import DATABASE_AWAY
from consent.hot_store import Unavailable, hot_store
from personalization.binding import bind, item_keys
from personalization.directory import Directory, compile_directory
from personalization.fragments import Item, RichText
from personalization.models import Directory as StoredDirectory
from personalization.plan import BoundPlan, StoredPlan
from personalization.recommending import Find

log = logging.getLogger(__name__)
MAX_PATHS = 5_000
FOUND_ITEMS: Final = 1_000  # per plan
MAX_LANGUAGES: Final = 200  # characters of Accept-Language that are looked at
EPOCH_KEY: Final = "epoch"
EPOCH_TTL_SECONDS = 60.0
EPOCH_SECONDS = 10.0  # without Redis, how long an epoch read from PostgreSQL is taken for current


@dataclass(frozen=True, slots=True)
class SiteFacts:
    """What a request needs to know of its site."""

    id: int
    locales: tuple[str, ...]
    time_zone: str
    requires_key: bool
    counts_when_seen: bool
    epoch: int
    directory_version: int
    catalogue_version: int
    title: str


@dataclass(slots=True)
class _Entry:
    epoch: int
    plans: tuple[BoundPlan, ...]
    bound_to: tuple[int, int]


def opaque(name: str) -> str:
    """Return a cache tag that says nothing about what it stands for."""
    return hashlib.blake2s(name.encode(), key=settings.SECRET_KEY.encode()[:32], digest_size=6).hexdigest()


def sign(text: str) -> str:
    """Return six characters of a MAC over a decision key."""
    return _signature(settings.SECRET_KEY, text)


@lru_cache(maxsize=20_000)  # a page has few combinations of variants, and each is asked for again and again
def _signature(secret: str, text: str) -> str:
    digest = hmac.digest(secret.encode(), text.encode(), hashlib.sha256)
    return "".join("0123456789abcdefghijklmnopqrstuvwxyz"[byte % 36] for byte in digest[:6])


def announce_epoch(epoch: int) -> bool:
    """Put the site's epoch where every process sees it at its next request; a higher one stays."""
    try:
        hot_store().put(EPOCH_KEY, str(epoch).encode(), version=epoch, ttl_seconds=EPOCH_TTL_SECONDS)
    except Unavailable:
        return False
    return True


class PlanStore:
    """The plans, the directory and the site as this process knows them."""

    def __init__(self) -> None:
        self._entries: OrderedDict[tuple[str, str], _Entry] = OrderedDict()
        # paths without a page have a shelf of their own: made-up ones must not push real pages out of memory
        self._absent: OrderedDict[tuple[str, str], _Entry] = OrderedDict()
        self._site: SiteFacts | None = None
        self._site_read_at = 0.0
        self._directory = Directory()
        self._lock = threading.RLock()

    def site(self, epoch: int | None) -> SiteFacts:
        """Return the site at an epoch; None means that Redis could not tell."""
        known = self._site
        if known is not None:
            fresh = (
                known.epoch == epoch
                if epoch is not None
                else time.monotonic() - self._site_read_at < EPOCH_SECONDS
            )
            if fresh:
                return known
        with self._lock:
            return self._read_site(known)

    def known_site(self) -> SiteFacts:
        """Return the site as it was last seen, for what may be as old as the request before."""
        return self._site or self.site(None)

    def _read_site(self, known: SiteFacts | None) -> SiteFacts:
        try:
            self._site = read_site()
        except DatabaseError:
            if known is None:
                raise
            log.warning("serving what is in memory: PostgreSQL is away")
            return known
        self._site_read_at = time.monotonic()
        announce_epoch(self._site.epoch)
        return self._site

    def directory(self, site: SiteFacts) -> Directory:
        """Return the directory of the site's current version."""
        if self._directory.version != site.directory_version:
            with self._lock:
                row = StoredDirectory.objects.filter(site_id=site.id).order_by("-version").first()
                if row is not None:
                    self._directory = compile_directory(row.program, version=site.directory_version)
        return self._directory

    def find(self, site: SiteFacts, path: str, locale: str, *, now: float) -> BoundPlan | None:
        """Return the plan that is served at a path now, or None when there is none."""
        entry = self._known(path, locale)
        if entry is None or entry.epoch != site.epoch:
            entry = self._refresh(site, path, locale, entry)
        return serving(entry.plans, now)

    def _known(self, path: str, locale: str) -> _Entry | None:
        return self._entries.get((path, locale)) or self._absent.get((path, locale))

    def _refresh(self, site: SiteFacts, path: str, locale: str, old: _Entry | None) -> _Entry:
        with self._lock:
            current = self._known(path, locale)
            if current is not None and current.epoch == site.epoch:
                return current
            try:
                entry = self._read(site, path, locale, old)
            except DatabaseError:
                if old is None:
                    raise
                return old
            self._keep(path, locale, entry)
            return entry

    def _keep(self, path: str, locale: str, entry: _Entry) -> None:
        shelf, other = (self._entries, self._absent) if entry.plans else (self._absent, self._entries)
        other.pop((path, locale), None)
        shelf[path, locale] = entry
        shelf.move_to_end((path, locale))
        if len(shelf) > MAX_PATHS:
            shelf.popitem(last=False)

    def _read(self, site: SiteFacts, path: str, locale: str, old: _Entry | None) -> _Entry:
        directory = self.directory(site)
        bound_to = (directory.version, site.catalogue_version)
        rows = Plan.objects.filter(active=True, locale=locale, page__path=path, page__site=site.id)
        ids = set(rows.values_list("id", flat=True))
        if old is not None and old.bound_to == bound_to and {plan.id for plan in old.plans} == ids:
            return _Entry(site.epoch, old.plans, bound_to)
        plans = [self.bound(row, site) for row in rows.select_related("revision")]
        return _Entry(site.epoch, tuple(plans), bound_to)

    def bound(self, row: Plan, site: SiteFacts) -> BoundPlan:
        """Make a stored row executable."""
        return bind_stored(stored_plan(row), directory=self.directory(site), site=site)

    def revision(self, site: SiteFacts, path: str, locale: str, revision: int) -> BoundPlan | None:
        """Return the plan of an older revision that is still kept, while its page is published."""
        row = (
            Plan.objects.filter(
                page__path=path,
                page__site=site.id,
                page__published__isnull=False,
                locale=locale,
                revision__n=revision,
            )
            .select_related("revision")
            .first()
        )
        return self.bound(row, site) if row else None


def serving(plans: Iterable[BoundPlan], now: float) -> BoundPlan | None:
    """Return the plan whose time it is: the one that began last, unless it has ended."""
    begun = [plan for plan in plans if plan.starts is None or plan.starts <= now]
    latest = max(begun, key=lambda plan: (plan.starts or 0, plan.revision), default=None)
    return None if latest is None or (latest.ends is not None and now >= latest.ends) else latest


def stored_plan(row: Plan) -> StoredPlan:
    return StoredPlan(
        id=row.pk,
        revision=row.revision.n,
        published_at=row.revision.published_at.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        program=row.program,
        starts=row.starts_at.timestamp() if row.starts_at else None,
        ends=row.ends_at.timestamp() if row.ends_at else None,
    )


def bind_stored(stored: StoredPlan, *, directory: Directory, site: SiteFacts) -> BoundPlan:
    """Bind a plan to the directory and to the items that it may show."""
    locale = stored.program["page"]["locale"]
    items = load_items(site, item_keys(stored.program, directory), locale=locale)
    return bind(stored, directory=directory, items=items, find=item_finder(site, locale), tag=opaque)


def item_finder(site: SiteFacts, locale: str) -> Find:
    """Return what looks for live items of a catalogue, and remembers the last thousand answers.

    It lives as long as the plan that it is bound to, which ends when the catalogue changes. A request that meets an item
    first costs one query, and the first of all reads what items refer to; where the database is away, the component
    shows its default.
    """

    @lru_cache(maxsize=1)
    def sources() -> Sources:
        return load_sources(Site.objects.get(pk=site.id), [])

    @lru_cache(maxsize=FOUND_ITEMS)
    def read(type_key: str, key: str) -> Item | None:
        live = Block.objects.filter(
            site=site.id, key=key, live=True, type__key=type_key, type__catalogue=True
        )
        row = live.select_related("type", "published").first()
        return _item(row, sources(), locale) if row is not None else None

    def find(type_key: str, key: str) -> Item | None:
        try:
            return read(type_key, key)
        except DATABASE_AWAY:
            log.warning("An item was not looked up, its default is shown: the database is away.")
            return None

    return find


def load_items(site: SiteFacts, keys: Iterable[str], *, locale: str) -> dict[str, Item]:
    """Load blocks that stand in for themselves: items of catalogues, and defaults of components."""
    keys = set(keys)
    if not keys:
        return {}
    rows = Block.objects.filter(site=site.id, key__in=keys).select_related("type", "published")
    sources = load_sources(Site.objects.get(pk=site.id), [])
    found = ((row.key, _item(row, sources, locale)) for row in rows)
    return {key: item for key, item in found if item is not None}


def _item(row: Block, sources: Sources, locale: str) -> Item | None:
    """Return a block as an item in a language; None where nothing of it is published."""
    data = row.data if row.live else row.published.data if row.published else None
    if data is None:
        return None
    fields = compile_block(parse_fields(row.type.fields)[0], data, sources=sources, locale=locale)
    return {"type": row.type.key, "block": row.key, "fields": _finished(fields)}


def _finished(value: Any) -> Any:
    """Return the value of an item with nothing left to fill: its texts are taken as written."""
    if isinstance(value, list):
        return [_finished(one) for one in value]
    if not isinstance(value, Mapping):
        return value
    if "$text" in value:
        return value["$text"]
    if "$rich" in value:
        parts = parse_text(value["$rich"], rich=True).parts
        return RichText("".join(part for part in parts if isinstance(part, str)), {})
    if "$item" in value:
        return {"block": value["$item"]}
    return {key: _finished(one) for key, one in value.items()}


def read_site() -> SiteFacts:
    """Read the one site; it is made by the first migration."""
    row = Site.objects.order_by("pk").first()
    if row is None:
        row = Site.objects.create(key="main", title="Main site")
    return SiteFacts(
        id=row.pk,
        locales=tuple(row.locales),
        time_zone=row.time_zone,
        requires_key=row.requires_key,
        counts_when_seen=row.counts_when_seen,
        epoch=row.epoch,
        directory_version=row.directory_version,
        catalogue_version=row.catalogue_version,
        title=row.title,
    )


def negotiate(site: SiteFacts, asked: str | None, accepted: str) -> str:
    """Return the locale of an answer: `?locale=`, else the browser's, else the default; an unknown one falls back."""
    return _negotiated(site.locales, (asked or accepted)[:MAX_LANGUAGES])


@lru_cache(maxsize=2_000)
def _negotiated(locales: tuple[str, ...], wanted: str) -> str:
    by_lower = {locale.lower(): locale for locale in locales}
    for part in wanted.split(",")[:10]:
        for one in locale_chain(part.split(";")[0].strip(), locales)[:-1] or [part.strip()]:
            if one.lower() in by_lower:
                return by_lower[one.lower()]
    return locales[0]


plan_store = PlanStore()
