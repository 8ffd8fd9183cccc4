"""Gates: absent means closed, whatever else an entry says."""

from hypothesis import given
from hypothesis import strategies as st

from consent.gates import Gates, decode, encode, open_gates

keys = st.sampled_from(["analytics", "personalization", "marketing", "sensitive"])
answers = st.sampled_from(["granted", "refused", "withdrawn", "expired", "unset", "", "GRANTED"])


@given(st.dictionaries(keys, answers), st.dictionaries(keys, st.floats(0, 200)), st.frozensets(keys))
def test_only_what_is_granted_lasts_and_is_not_closed_is_open(
    state: dict[str, str], expires: dict[str, float], closed: frozenset[str]
) -> None:
    gates = open_gates(state, expires=expires, version=1, closed=closed, now=100)
    expected = {
        k for k, v in state.items() if v == "granted" and k not in closed and expires.get(k, 101) > 100
    }
    assert gates.granted == expected


@given(st.frozensets(keys), st.integers(0), st.booleans())
def test_an_entry_is_read_as_it_was_written_until_its_moment(
    granted: frozenset[str], version: int, gpc: bool
) -> None:
    gates = Gates(granted, version % 2**60, gpc)
    entry = encode(gates, until=50)
    assert decode(entry, now=49.9) == gates
    assert decode(entry, now=50) is None


@given(st.binary(max_size=30))
def test_an_entry_that_is_not_one_opens_nothing(entry: bytes) -> None:
    assert decode(entry, now=0) is None


@given(st.frozensets(keys), st.frozensets(keys))
def test_closing_more_never_opens_anything(granted: frozenset[str], closed: frozenset[str]) -> None:
    assert Gates(granted, 1).without(closed).granted == granted - closed
