"""The tree over the ledger: every entry leads to the root, and nothing else does."""

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from consent.merkle import EMPTY, leads_to, path_of, root_of


def hashes(count: int, salt: int = 0) -> list[str]:
    return [hashlib.sha256(f"{salt} {n}".encode()).hexdigest() for n in range(count)]


def test_nothing_has_the_root_of_nothing() -> None:
    assert root_of([]) == EMPTY


def test_the_root_is_that_of_certificate_transparency() -> None:
    """RFC 6962: leaves behind 0x00, nodes behind 0x01, an odd one goes up as it is."""
    a, b, c = (bytes.fromhex(one) for one in hashes(3))
    leaf = [hashlib.sha256(b"\x00" + one).digest() for one in (a, b, c)]
    left = hashlib.sha256(b"\x01" + leaf[0] + leaf[1]).digest()
    assert root_of(hashes(3)) == hashlib.sha256(b"\x01" + left + leaf[2]).hexdigest()


@given(st.integers(1, 70), st.data())
def test_every_entry_leads_to_the_root_and_no_other_does(count: int, data: st.DataObject) -> None:
    entries = hashes(count)
    root, index = root_of(entries), data.draw(st.integers(0, count - 1))
    path = path_of(entries, index)
    assert len(path) <= 7
    assert leads_to(entries[index], path, root)
    assert not leads_to(hashes(1, salt=1)[0], path, root)
    changed = [*entries]
    changed[data.draw(st.integers(0, count - 1))] = hashes(1, salt=2)[0]
    assert not leads_to(entries[index], path, root_of(changed))


@given(st.integers(2, 40), st.data())
def test_the_order_of_entries_counts(count: int, data: st.DataObject) -> None:
    entries = hashes(count)
    one = data.draw(st.integers(0, count - 2))
    swapped = [*entries]
    swapped[one], swapped[one + 1] = swapped[one + 1], swapped[one]
    assert root_of(swapped) != root_of(entries)


def test_a_path_that_cannot_be_read_leads_nowhere() -> None:
    (entry,) = hashes(1)
    for path in ([{"side": "left"}], [{"side": "left", "hash": "xyz"}], ["nonsense"], [None]):
        assert not leads_to(entry, path, root_of([entry]))
