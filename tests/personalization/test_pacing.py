"""Caps, intervals and turns: pure, exact at their edges, and without chance."""

import uuid
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from personalization.pacing import (
    FOR_EVER,
    Candidate,
    Cap,
    Limit,
    Pace,
    Rotation,
    Shown,
    capped_until,
    in_turn,
    kept,
    line,
    read,
    turn_ends,
)

WEEK = 7 * 86_400_000_000
DAY = WEEK // 7
MINUTE = 60_000_000
NOW = 1_790_000_000_000_000
A, B, C = (Candidate(n, key, weight, None) for n, (key, weight) in enumerate([("a", 1), ("b", 2), ("c", 7)]))


@given(st.lists(st.integers(NOW - 2 * WEEK, NOW), max_size=9), st.integers(1, 4))
def test_a_cap_holds_until_the_moment_that_it_names(moments: list[int], times: int) -> None:
    limit = Limit("offers", Cap(times, WEEK))
    pace = Pace({"offers": sorted(moments)})
    until = capped_until(limit, pace, NOW)
    inside = [moment for moment in moments if moment > NOW - WEEK]
    assert (until is not None) is (len(inside) >= times)
    if until is not None:
        assert capped_until(limit, pace, until - 1) is not None
        assert capped_until(limit, pace, until) is None


def test_a_cap_without_a_time_is_for_ever() -> None:
    assert capped_until(Limit("x", Cap(1, None)), Pace({"x": [NOW]}), NOW + 99 * WEEK) == FOR_EVER
    assert capped_until(Limit("x", Cap(1, None)), Pace(), NOW) is None


def test_an_interval_keeps_what_still_holds_and_nothing_else() -> None:
    shown = Shown("b", NOW - 14 * MINUTE)
    assert kept([A, B], shown, 15 * MINUTE, NOW) == B
    assert kept([A, C], shown, 15 * MINUTE, NOW) is None
    assert kept([A, B], shown, 15 * MINUTE, NOW + MINUTE) is None
    assert kept([A, B], None, 15 * MINUTE, NOW) is None


def test_shares_are_as_the_weights_over_many_people_and_placements_are_independent() -> None:
    rotation = Rotation("weighted", DAY)
    people = [uuid.UUID(int=n * 7919) for n in range(6_000)]
    first = [in_turn([A, B, C], rotation, placement="one", visitor=who, now=NOW).key for who in people]
    second = [in_turn([A, B, C], rotation, placement="two", visitor=who, now=NOW).key for who in people]
    shares = Counter(first)
    for key, share in (("a", 0.1), ("b", 0.2), ("c", 0.7)):
        assert shares[key] / len(people) == pytest.approx(share, abs=0.02)
    both = Counter(zip(first, second, strict=True))[("c", "c")] / len(people)
    assert both == pytest.approx(0.49, abs=0.03)


def test_shuffled_turns_show_everything_once_before_anything_comes_again() -> None:
    rotation = Rotation("shuffled", DAY)
    who = uuid.UUID(int=5)
    first = NOW // DAY // 3 * 3
    for start in range(first, first + 30, 3):
        shown = {
            in_turn([A, B, C], rotation, placement="p", visitor=who, now=(start + n) * DAY).key
            for n in range(3)
        }
        assert shown == {"a", "b", "c"}


def test_without_consent_a_turn_is_the_same_for_all_and_lasts_as_long_as_it_says() -> None:
    rotation = Rotation("weighted", DAY)
    end = turn_ends(rotation, NOW)
    during = {in_turn([A, B, C], rotation, placement="p", visitor=None, now=at).key for at in (NOW, end - 1)}
    assert len(during) == 1
    later = {
        in_turn([A, B, C], rotation, placement="p", visitor=None, now=NOW + n * DAY).key for n in range(60)
    }
    assert later == {"a", "b", "c"}


def test_where_weights_decay_the_newer_weigh_more() -> None:
    old = Candidate(0, "old", 1, (NOW - 4 * WEEK) / 1e6)
    new = Candidate(1, "new", 1, NOW / 1e6 - 3600)
    rotation = Rotation("decayed", DAY, WEEK)
    shown = Counter(
        in_turn([old, new], rotation, placement="p", visitor=uuid.UUID(int=n), now=NOW).key
        for n in range(3_000)
    )
    assert shown["new"] / 3_000 == pytest.approx(16 / 17, abs=0.02)


def test_what_is_written_is_read_again() -> None:
    written = line(NOW, "/ hero", "a", ["offers"]) + line(NOW + 5, "/ hero", "a", ["offers", "v / hero a"])
    pace = read(written.encode())
    assert pace.counts == {"offers": [NOW, NOW + 5], "v / hero a": [NOW + 5]}
    assert pace.last == {"/ hero": Shown("a", NOW)}
    assert read((written + line(NOW + 9, "/ hero", "b", [])).encode()).last["/ hero"] == Shown("b", NOW + 9)
