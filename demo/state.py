"""What the demo remembers outside the database: its write key and which visitor each persona is."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from django.conf import settings

FOLDER = Path(__file__).resolve().parent


@dataclass(frozen=True, slots=True)
class Demo:
    """`personas` maps a persona's key to its visitor id; None is somebody who refused and is nobody."""

    write_key: str
    personas: dict[str, str | None] = field(default_factory=dict)


def _path() -> Path:
    return Path(settings.VAR) / "demo.json"


def loaded() -> Demo | None:
    """Return the demo's memory, or None while the demo is not loaded."""
    try:
        return Demo(**json.loads(_path().read_text()))
    except FileNotFoundError:
        return None


def remember(demo: Demo) -> None:
    """Keep the demo's memory (readable by its owner alone)."""
    path = _path()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(json.dumps(asdict(demo), indent=1))


def personas() -> list[dict[str, Any]]:
    """Return the personas as the demo ships them."""
    read: list[dict[str, Any]] = json.loads((FOLDER / "personas.json").read_text())
    return read
