"""Visitors name segments by handles that tell nothing of their keys."""

from types import SimpleNamespace
from typing import Any

import pytest
from django.test import override_settings

from personalization.handles import handle_of, inward, outward

DIRECTORY: Any = SimpleNamespace(segments={"loyal": None, "hot": None})


@pytest.mark.parametrize("name", ["segment:loyal", "scores.hot", "features.orders", "topic:alcohol", "kids"])
def test_a_name_goes_out_and_comes_back(name: str) -> None:
    assert inward(outward(name), DIRECTORY) == name
    for key in DIRECTORY.segments:
        assert key not in outward(name)


@pytest.mark.parametrize("name", ["segment:loyal", "scores.hot", "segment:", "segment:0123456789abcdef"])
def test_a_key_or_a_guess_names_nothing(name: str) -> None:
    with pytest.raises(LookupError):
        inward(name, DIRECTORY)


def test_only_who_holds_the_secret_can_make_one() -> None:
    mine = handle_of("loyal")
    with override_settings(SECRET_KEY="another"):
        assert handle_of("loyal") != mine
