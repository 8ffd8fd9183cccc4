"""What the catalogue of events declares, as the steps of ingestion ask for it. PURE.

In: a declared name with its JSON Schema. Out: where an event's properties break it. Schemas are compiled once.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson
from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError

TYPES: Mapping[str, str] = {
    "string": "text",
    "number": "number",
    "integer": "number",
    "boolean": "boolean",
    "array": "list",
}


@dataclass(frozen=True, slots=True)
class DeclaredEvent:
    """One name of the catalogue; `schema` is its JSON Schema as text, empty when anything goes."""

    key: str
    purposes: frozenset[str] = frozenset()
    from_server: bool = False
    schema: str = ""

    def check(self, properties: Mapping[str, Any]) -> str | None:
        """Return the place where properties break the schema, as a JSON pointer; None when they keep to it."""
        if not self.schema:
            return None
        error = next(iter(_validator(self.schema).iter_errors(properties)), None)
        return None if error is None else "".join(f"/{part}" for part in error.absolute_path)


@lru_cache(maxsize=1024)
def _validator(schema: str) -> Draft202012Validator:
    return Draft202012Validator(orjson.loads(schema))


def schema_problem(schema: Any) -> tuple[str, str] | None:
    """Return (place, sentence) of what is wrong with a JSON Schema; None when it is one."""
    if not isinstance(schema, Mapping):
        return "", "A JSON Schema is an object."
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        return "".join(f"/{part}" for part in error.absolute_path), f"{error.message[:200]}."
    return None


def property_types(schema: Mapping[str, Any], *, path: str = "properties", depth: int = 3) -> dict[str, str]:
    """Return the types that a schema declares, by path: `properties.price` → `number`."""
    found: dict[str, str] = {}
    declared = schema.get("properties")
    for name, inner in declared.items() if isinstance(declared, Mapping) else ():
        if not isinstance(inner, Mapping):
            continue
        kind = "date" if inner.get("format") == "date-time" else TYPES.get(str(inner.get("type")))
        if kind:
            found[f"{path}.{name}"] = kind
        elif depth:
            found |= property_types(inner, path=f"{path}.{name}", depth=depth - 1)
    return found


def sampled_types(sample: Mapping[str, Any] | None) -> dict[str, str]:
    """Return the types that the sample of an event shows, by path; what is nested is left out."""
    return {f"properties.{name}": TYPES[kind] for name, kind in (sample or {}).items() if kind in TYPES}


def shape(properties: Mapping[str, Any]) -> dict[str, str]:
    """Return the names and JSON types of properties, never a value."""
    kinds = {bool: "boolean", str: "string", int: "number", float: "number", list: "array", dict: "object"}
    return {str(name)[:100]: kinds.get(type(value), "null") for name, value in list(properties.items())[:50]}
