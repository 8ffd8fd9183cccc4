"""What reads personal data today, by purpose: a notice asks for nothing that nobody reads.

In: functions, registered at the start by whoever reads (`personalization/apps.py`). Out: the purposes in use. The first
new reader changes the notice, and with it visitors are asked again.
"""

from collections.abc import Callable, Iterable

Reader = Callable[[int], Iterable[str]]
_readers: dict[str, Reader] = {}


def register_reader(name: str, purposes_of: Reader) -> None:
    """Add a reader: `purposes_of(site_id)` are the purposes that it needs now."""
    if _readers.get(name, purposes_of) is not purposes_of:
        raise ValueError(f"There are two readers named '{name}'.")
    _readers[name] = purposes_of


def purposes_in_use(site_id: int) -> frozenset[str]:
    """Return the purposes that something reads today."""
    return frozenset(purpose for read in _readers.values() for purpose in read(site_id))
