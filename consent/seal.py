"""Encryption per subject: what identifies somebody is unreadable once their key is gone.

Each subject has a key of its own, wrapped by the ring of KEKs (the first wraps, all are tried). A blind index
finds an identifier without reading it.
"""

import base64
import hashlib
import hmac
import uuid
from functools import lru_cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings

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


def new_key(subject_id: uuid.UUID) -> SubjectKey:
    """Return an unsaved key for a subject."""
    return SubjectKey(subject_id=subject_id, wrapped_dek=_key_ring().encrypt(Fernet.generate_key()))


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
