"""Every field of every model is declared: a new one fails this test until somebody said what it is."""

import dataclasses
from typing import Any

import pytest

from consent import registry
from consent.holders import holders
from personalization.data_map import DECLARED


def test_every_field_is_declared_and_every_personal_one_has_its_holder() -> None:
    assert list(registry.undeclared()) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"personal": ()}, "nobody said whether it is personal"),
        ({"plain": ("mood",)}, "there is no such field"),
        ({"holder": "nobody"}, "no holder answers"),
    ],
)
def test_a_declaration_that_misses_something_is_told(
    monkeypatch: Any, change: dict[str, Any], said: str
) -> None:
    known = registry.declared()
    changed = dataclasses.replace(known["personalization.Profile"], **change)
    monkeypatch.setitem(registry._declared, "personalization.Profile", changed)
    assert any(said in one for one in registry.undeclared())


def test_a_model_that_nobody_declared_is_told(monkeypatch: Any) -> None:
    monkeypatch.delitem(registry._declared, "personalization.Exposure")
    assert list(registry.undeclared()) == [
        "personalization.Exposure: nobody said whether it holds anything of a person."
    ]


def test_every_holder_answers_for_something_or_says_that_it_follows_another() -> None:
    answering = {one.holder for one in DECLARED if one.personal}
    follows = {"snapshot"}  # the copy in Redis
    assert {one.name for one in holders()} - answering == follows
