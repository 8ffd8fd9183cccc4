"""Two walks over one block agree: the bytes joined from fragments, and the values that HTML is made of."""

from collections.abc import Mapping
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from cms.language.text import Component, Placeholder
from personalization.fragments import Item, RichText, Scene, Writer, materialise, merged

ITEMS: Mapping[str, Any] = {
    "boots": {"type": "product", "block": "boots", "fields": {"name": 'Boots "&" <b>', "price": 99.5}},
    "socks": {"type": "product", "block": "socks", "fields": {"text": RichText("<p>Warm</p>", {})}},
}
PIECES = st.sampled_from(
    [
        "{{ user.first_name | default('you') }}", "{{ user.city | default('<b>\"there\"') }}",
        "{{ user.segment.discount | default('5 %') }}", "{{ context.country | default('é\\n') }}", "plain ", "<p>a</p>", '"', "\\", "ü\u2028",
    ]
)  # fmt: skip
COMPONENTS = st.sampled_from(
    [
        f'<tessera-product type="product" default="{key}"></tessera-product>'
        for key in ("boots", "socks", "gone")
    ]
)
TEXTS = st.lists(PIECES, max_size=5).map("".join)
RICH = st.lists(PIECES | COMPONENTS, max_size=5).map("".join)
LEAVES = (
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
    | TEXTS.map(lambda text: {"$text": text}) | RICH.map(lambda text: {"$rich": text})
)  # fmt: skip
REFERENCES = st.fixed_dictionaries(
    {"$item": st.sampled_from(["boots", "socks", "gone"]), "fields": st.dictionaries(st.sampled_from(["name", "more"]), LEAVES, max_size=2)}
)  # fmt: skip
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner | REFERENCES, max_size=4) | st.dictionaries(st.text("abc\"\\é", min_size=1, max_size=3), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip
FACTS = st.fixed_dictionaries(
    {},
    optional={
        "first_name": st.sampled_from(["Ada", "", None, '<img src="x">', '\\"\n']),
        "city": st.text(max_size=6),
        "context.country": st.sampled_from(["DE", None]),
        "segments": st.sampled_from([{}, {"gold": True}, {"gold": False, "silver": True}, {"gold": None}]),
    },
)


def recommend(component: Component, facts: Mapping[str, Any]) -> tuple[Item | None, str]:
    return ITEMS.get(component.default or ""), "default" if facts.get("city") else "matched"


def attribute(name: str, named: object) -> list[tuple[str, Any]]:
    return [("gold", "15 %"), ("silver", "10 %")]


def declared(placeholder: Placeholder) -> str:
    return "declared"


SCENE = Scene("en", ITEMS, declared, attribute, recommend, lambda key: None)


@given(value=VALUES, facts=FACTS)
def test_the_bytes_say_what_the_values_say(value: Any, facts: Mapping[str, Any]) -> None:
    writer = Writer(SCENE, ())
    writer.value(value)
    out = [part if isinstance(part, bytes) else part.json(facts) for part in merged(writer.parts)]
    assert orjson.loads(b"".join(out)) == materialise(value, facts, writer, markup=False)


@given(value=VALUES, facts=FACTS)
def test_markup_carries_the_same_text_and_the_same_items(value: Any, facts: Mapping[str, Any]) -> None:
    writer = Writer(SCENE, ())
    assert materialise(value, facts, writer, markup=True) == materialise(value, facts, writer, markup=False)


@given(value=VALUES, facts=FACTS)
def test_neighbouring_bytes_are_one_piece(value: Any, facts: Mapping[str, Any]) -> None:
    writer = Writer(SCENE, ())
    writer.value(value)
    pairs = zip(writer.parts, writer.parts[1:], strict=False)
    assert not any(isinstance(a, bytes) and isinstance(b, bytes) for a, b in pairs)
