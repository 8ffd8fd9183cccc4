"""The demo application."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from django.apps import AppConfig

if TYPE_CHECKING:
    from personalization.people import Person


class DemoConfig(AppConfig):
    name = "demo"
    verbose_name = "Demo"

    def ready(self) -> None:
        from personalization.people import register_people

        register_people(demo_people)


def demo_people() -> "Iterable[Person]":
    """Return the demo's personas for the editor's previews; none while the demo is not loaded."""
    import uuid

    from demo.state import loaded, personas
    from personalization.people import Person

    demo = loaded()
    if demo is None:
        return []
    ids = {key: uuid.UUID(one) if one else None for key, one in demo.personas.items()}
    return [
        Person(p["key"], p["title"], p["description"], ids[p["key"]]) for p in personas() if p["key"] in ids
    ]
