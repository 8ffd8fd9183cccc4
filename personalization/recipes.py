"""Recipes: what people want to say, in their own words, ready to be used.

In: `recipes.json`. Out: `Recipe`, with the segments, the display rule or the setting that says it, and a bundle that
brings it into a site.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

import orjson

FILE: Final = Path(__file__).with_name("recipes.json")


@dataclass(frozen=True, slots=True)
class Recipe:
    """One thing that people want to say.

    `setting` names where it is set when it is no rule; `content` are the other parts of its bundle, such as an example
    page, an experience or the site's settings.
    """

    key: str
    title: str
    description: str = ""
    segments: tuple[Mapping[str, Any], ...] = ()
    when: Mapping[str, Any] | None = None
    traits: tuple[Mapping[str, Any], ...] = ()
    attributes: tuple[Mapping[str, Any], ...] = ()
    setting: str = ""
    content: Mapping[str, Any] = field(default_factory=dict)
    recipes: tuple[int, ...] = field(default=(), repr=False)

    @property
    def bundle(self) -> dict[str, Any]:
        """Return what brings the recipe into a site; what is published does not change by it."""
        parts = {"traits": self.traits, "attributes": self.attributes, "segments": self.segments}
        return {"tessera": 1, **{name: list(part) for name, part in parts.items() if part}, **self.content}


@cache
def recipes() -> tuple[Recipe, ...]:
    """Return every recipe, in the order of the gallery."""
    return tuple(_recipe(**one) for one in orjson.loads(FILE.read_bytes()))


def recipe(key: str) -> Recipe:
    """Return one recipe; KeyError when there is none."""
    return {one.key: one for one in recipes()}[key]


def _recipe(**stored: Any) -> Recipe:
    for name, value in stored.items():
        if isinstance(value, list):
            stored[name] = tuple(value)
    return Recipe(**stored)
