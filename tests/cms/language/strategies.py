"""Random rules and facts: what the laws of the language are tried on."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from cms.language.evaluate import WITHHELD

NAMES = (
    "orders",
    "city",
    "tags",
    "born",
    "born.days_ago",
    "context.hour",
    "context.device",
    "features.orders",
)
KEYS = ("vip", "hikers", "new")
TEXTS = st.sampled_from(
    ["", "a", "8", "Berlin", "true", "null", "2026-11-22T08:00:00Z", "1.2.3", "\ud800", "0x1f"]
)
NUMBERS = st.integers(-3, 30) | st.floats(allow_nan=False, allow_infinity=False, width=32)
SCALARS = st.none() | st.booleans() | NUMBERS | TEXTS.filter(lambda text: text != "\ud800")

JSON_FACTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS | st.just(10**400),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "b", "orders"]), inner, max_size=2)
    ),
    max_leaves=4,
)

ORDERS = st.sampled_from(["$lt", "$lte", "$gt", "$gte", "$veq", "$vne", "$vlt", "$vgte"])
LITERAL_TESTS = st.one_of(
    st.fixed_dictionaries({}, optional={"$eq": SCALARS, "$ne": SCALARS, "$exists": st.booleans()}).filter(
        bool
    ),
    st.builds(lambda operator, value: {operator: value}, ORDERS, NUMBERS | st.sampled_from(["8", "Berlin"])),
    st.builds(
        lambda operator, values: {operator: values},
        st.sampled_from(["$in", "$nin", "$ini", "$nini", "$all", "$alli"]),
        st.lists(SCALARS, max_size=3),
    ),
    st.builds(
        lambda operator, value: {operator: value},
        st.sampled_from(["$regex", "$regexi"]),
        st.sampled_from(["^b", "n$", "[", "(?=x)", "."]),
    ),
    st.builds(
        lambda kind: {"$type": kind},
        st.sampled_from(["string", "number", "null", "array", "object", "boolean"]),
    ),
)
TESTS = st.recursive(
    LITERAL_TESTS,
    lambda inner: st.builds(
        lambda operator, value: {operator: value}, st.sampled_from(["$not", "$elemMatch", "$size"]), inner
    ),
    max_leaves=2,
)
MEMBERSHIPS = st.recursive(
    st.builds(
        lambda operator, keys: {operator: keys},
        st.sampled_from(["$in", "$nin", "$all"]),
        st.lists(st.sampled_from(KEYS), max_size=3),
    )
    | st.builds(lambda key: {"$elemMatch": {"$eq": key}}, st.sampled_from(KEYS)),
    lambda inner: st.builds(lambda value: {"$not": value}, inner),
    max_leaves=2,
)
FIELDS = st.builds(lambda name, test: {name: test}, st.sampled_from(NAMES), TESTS | SCALARS) | st.builds(
    lambda test: {"segments": test}, MEMBERSHIPS
)
RULES: st.SearchStrategy[dict[str, Any]] = st.recursive(
    st.lists(FIELDS, max_size=2).map(
        lambda parts: {key: value for part in parts for key, value in part.items()}
    ),
    lambda inner: (
        st.builds(
            lambda operator, parts: {operator: parts},
            st.sampled_from(["$and", "$or", "$nor"]),
            st.lists(inner, max_size=3),
        )
        | st.builds(lambda part: {"$not": part}, inner)
    ),
    max_leaves=5,
)
MEMBERS = st.dictionaries(st.sampled_from(KEYS), st.sampled_from([True, False, None]))
FACTS: st.SearchStrategy[dict[str, Any]] = st.builds(
    lambda values, members: {**values, "segments": members},
    st.dictionaries(st.sampled_from(NAMES), JSON_FACTS | st.just(WITHHELD), max_size=5),
    MEMBERS,
)
