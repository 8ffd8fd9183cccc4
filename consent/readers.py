"""What reads personal data today, by purpose, and who else is told: a notice asks for nothing that nobody reads.

In: functions, registered at the start by whoever reads (`personalization/apps.py`). Out: the purposes in use, and the
third parties that receive something for a purpose, as a receipt names them. The first new reader changes the notice, and with it visitors are asked again.
"""

from collections.abc import Callable, Iterable

Reader = Callable[[int], Iterable[str]]
Recipients = Callable[[int], Iterable[tuple[str, str]]]
_readers: dict[str, Reader] = {}
_recipients: dict[str, Recipients] = {}


def register_reader(name: str, purposes_of: Reader) -> None:
    """Add a reader: `purposes_of(site_id)` are the purposes that it needs now."""
    if _readers.get(name, purposes_of) is not purposes_of:
        raise ValueError(f"There are two readers named '{name}'.")
    _readers[name] = purposes_of


def purposes_in_use(site_id: int) -> frozenset[str]:
    """Return the purposes that something reads today."""
    return frozenset(purpose for read in _readers.values() for purpose in read(site_id))


def register_recipients(name: str, told_by: Recipients) -> None:
    """Add what tells third parties: `told_by(site_id)` are pairs of a purpose and who is told for it."""
    if _recipients.get(name, told_by) is not told_by:
        raise ValueError(f"There are two tellers named '{name}'.")
    _recipients[name] = told_by


def recipients_of(site_id: int) -> dict[str, list[str]]:
    """Return purpose → the third parties that receive something for it today."""
    found: dict[str, set[str]] = {}
    for told_by in _recipients.values():
        for purpose, who in told_by(site_id):
            found.setdefault(purpose, set()).add(who)
    return {purpose: sorted(names) for purpose, names in sorted(found.items())}
