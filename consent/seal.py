"""Encryption per subject: what identifies somebody is unreadable once their key is gone.

Each subject has a key of its own, wrapped by the ring of KEKs (the first wraps, all are tried). A blind index
finds an identifier without reading it.
"""

import base64
import hashlib
import hmac
import uuid
from collections.abc import Iterator
from functools import lru_cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.db import DatabaseError, models, transaction

from consent.models import SubjectKey


class Unreadable(Exception):
    """The subject's key is destroyed or the text is not one of theirs."""


@lru_cache(maxsize=4)
def _ring(keks: tuple[str, ...]) -> MultiFernet:
    return MultiFernet(
        [Fernet(base64.urlsafe_b64encode(hashlib.sha256(kek.encode()).digest())) for kek in keks]
    )


def _key_ring() -> MultiFernet:
    return _ring(tuple(settings.TESSERA_KEKS))


def kek_id(kek: str) -> str:
    """Return by what a key of the ring is named, where it must not be told."""
    return hashlib.sha256(b"tessera.kek\x00" + kek.encode()).hexdigest()[:16]


def new_key(subject_id: uuid.UUID) -> SubjectKey:
    """Return an unsaved key for a subject."""
    return SubjectKey(
        subject_id=subject_id,
        wrapped_dek=_key_ring().encrypt(Fernet.generate_key()),
        kek_id=kek_id(settings.TESSERA_KEKS[0]),
    )


def destroy(subject_id: uuid.UUID) -> bool:
    """Shred a subject's key, and with it everything that was sealed for them; return whether there was one."""
    return bool(SubjectKey.objects.filter(subject_id=subject_id).delete()[0])


_wrapped: dict[type[models.Model], tuple[str, ...]] = {}


def register_wrapped(model: type[models.Model], *fields: str) -> None:
    """Name fields that `wrap` encrypts, so that they change keys with everything else."""
    _wrapped[model] = fields


def missing_keks() -> set[str]:
    """Return the ids of keys that wrapped what is kept, and are not in the ring."""
    known = [kek_id(one) for one in settings.TESSERA_KEKS]
    used = SubjectKey.objects.exclude(kek_id__in=["", *known]).values_list("kek_id", flat=True)
    lost = {
        f"the key of {row._meta.verbose_name_plural}"
        for row, name in _secrets()
        if not _opens(_value(row, name))
    }
    return {*used.distinct(), *lost}


def _secrets() -> Iterator[tuple[models.Model, str]]:
    """Yield every secret of the site that is kept, as a row and its field."""
    for model, fields in _wrapped.items():
        for row in model._default_manager.all():
            yield from ((row, name) for name in fields if getattr(row, name))


def _value(row: models.Model, name: str) -> bytes:
    return bytes(getattr(row, name))


def _opens(wrapped: bytes, *, newest: bool = False) -> bool:
    """Say whether the ring, or its newest key alone, opens what was wrapped."""
    ring = _ring(tuple(settings.TESSERA_KEKS[:1])) if newest else _key_ring()
    try:
        ring.decrypt(wrapped)
    except InvalidToken:
        return False
    return True


def refuse_without_keys() -> None:
    """End the process while a key is missing that people's data are encrypted with; a database that is away can wait."""
    try:
        missing = missing_keks()
    except DatabaseError:
        return
    if missing:
        raise SystemExit(
            f"TESSERA_KEKS lacks {', '.join(sorted(missing))}: put the key back (docs/how-to/rotate-keys.md)."
        )


def rewrap(*, limit: int = 500) -> int:
    """Wrap keys of subjects, and the site's own secrets, with the newest key of the ring; return how many there were.

    May run while serving.
    """
    return _rewrap_keys(limit) or _rewrap_secrets()


@transaction.atomic
def _rewrap_secrets() -> int:
    done = 0
    for row, name in _secrets():
        if not _opens(_value(row, name), newest=True):
            same = type(row)._default_manager.filter(pk=row.pk, **{name: getattr(row, name)})
            done += same.update(**{name: _key_ring().rotate(_value(row, name))})
    return done


def _rewrap_keys(limit: int) -> int:
    newest = kek_id(settings.TESSERA_KEKS[0])
    with transaction.atomic():
        rows = SubjectKey.objects.select_for_update(skip_locked=True).exclude(kek_id=newest)[:limit]
        keys = list(rows)
        for key in keys:
            key.wrapped_dek = _key_ring().rotate(bytes(key.wrapped_dek))
            key.kek_id = newest
        SubjectKey.objects.bulk_update(keys, ["wrapped_dek", "kek_id"])
    return len(keys)


def _own_key(subject_id: uuid.UUID) -> Fernet:
    key = SubjectKey.objects.filter(subject_id=subject_id, destroyed_at__isnull=True).first()
    if key is None:
        raise Unreadable
    try:
        return Fernet(_key_ring().decrypt(bytes(key.wrapped_dek)))
    except InvalidToken as error:
        raise Unreadable from error


def wrap(secret: bytes) -> bytes:
    """Encrypt what belongs to the site and not to a person, such as a secret that signs."""
    return _key_ring().encrypt(secret)


def unwrap(wrapped: bytes) -> bytes:
    """Decrypt what was wrapped; raises Unreadable."""
    try:
        return _key_ring().decrypt(wrapped)
    except InvalidToken as error:
        raise Unreadable from error


def seal(subject_id: uuid.UUID, text: bytes) -> bytes:
    """Encrypt for one subject."""
    return _own_key(subject_id).encrypt(text)


def unseal(subject_id: uuid.UUID, sealed: bytes) -> bytes:
    """Decrypt what was sealed for one subject; raises Unreadable."""
    try:
        return _own_key(subject_id).decrypt(sealed)
    except InvalidToken as error:
        raise Unreadable from error


def blind_index(kind: str, value: str) -> str:
    """Return the index under which an identifier is found."""
    return hmac.new(settings.SECRET_KEY.encode(), f"{kind}\x00{value}".encode(), hashlib.sha256).hexdigest()
