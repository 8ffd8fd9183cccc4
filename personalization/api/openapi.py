"""The OpenAPI document of the doors that are plain Django views, and the one shape of errors.

drf-spectacular describes the DRF views by itself; `complete` is its postprocessing hook and adds the rest by hand.
"""

from typing import Any, Final

Schema = dict[str, Any]

_TEXT: Final[Schema] = {"type": "string"}
_ANY_OBJECT: Final[Schema] = {"type": "object", "additionalProperties": {}}
REASONS: Final = [
    "matched", "default", "holdout", "split", "no_consent", "unknown_fact", "out_of_window", "capped",
    "segment_too_small", "forced", "error", "timeout",
]  # fmt: skip


def _object(properties: Schema, *, required: list[str] | None = None) -> Schema:
    return {"type": "object", "properties": properties, "required": required or list(properties)}


def _nullable(schema: Schema) -> Schema:
    return {**schema, "nullable": True}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


COMPONENTS: Final[Schema] = {
    "Error": _object(
        {
            "type": {"type": "string", "enum": ["validation_error", "client_error", "server_error"]},
            "errors": {
                "type": "array",
                "items": _object({"code": _TEXT, "detail": _TEXT, "attr": _nullable(_TEXT)}),
            },
        }
    ),
    "Decision": _object(
        {
            "key": _TEXT,
            "scope": {"type": "string", "enum": ["static", "public-permutation", "private-request"]},
            "purposes": {"type": "array", "items": _TEXT},
            "valid_until": _nullable({"type": "string", "format": "date-time"}),
            "experiments": {"type": "array", "items": _ANY_OBJECT},
        }
    ),
    "PlacedBlock": _object(
        {
            "placement": _TEXT,
            "type": _TEXT,
            "block": _TEXT,
            "variant": _TEXT,
            "reason": {"type": "string", "enum": REASONS},
            "fields": _ANY_OBJECT,
        }
    ),
    "Page": _object(
        {
            "page": _object(
                {
                    "path": _TEXT,
                    "title": _TEXT,
                    "locale": _TEXT,
                    "template": _TEXT,
                    "revision": {"type": "integer"},
                    "published_at": {"type": "string", "format": "date-time"},
                    "meta": _ANY_OBJECT,
                }
            ),
            "slots": {
                "type": "object",
                "additionalProperties": {"type": "array", "items": _ref("PlacedBlock")},
            },
            "decision": _ref("Decision"),
        }
    ),
    "Values": _object({"decision": _ref("Decision"), "values": _ANY_OBJECT}),
    "Accepted": _object(
        {
            "success": {"type": "boolean"},
            "accepted": {"type": "integer"},
            "dropped": {"type": "object", "additionalProperties": {"type": "integer"}},
        }
    ),
}


def _parameter(name: str, place: str, description: str) -> Schema:
    return {"name": name, "in": place, "schema": _TEXT, "description": description}


_PATH: Final = {
    "name": "path",
    "in": "path",
    "required": True,
    "schema": _TEXT,
    "description": "The page's path.",
}
_READERS: Final = [
    _parameter("locale", "query", "A locale of the site; an unknown one falls back."),
    _parameter("X-Visitor", "header", "The visitor's token."),
    _parameter("X-Time-Zone", "header", "An IANA name such as Europe/Berlin."),
    _parameter("X-Context", "header", "Context as JSON; only with a key that has the scope `deliver`."),
    _parameter("Sec-GPC", "header", "Global Privacy Control."),
]
_PAGE_ONLY: Final = [
    _parameter("decision", "query", "The key of a decision: the public page of that choice."),
    _parameter("explain", "query", "Adds the trace; needs a key with the scope `preview`."),
]


def _answer(description: str, name: str) -> Schema:
    return {"description": description, "content": {"application/json": {"schema": _ref(name)}}}


def _errors(*codes: str) -> Schema:
    words = {
        "400": "Not readable or not valid",
        "401": "No valid key or token",
        "403": "Not allowed",
        "404": "Nothing here",
        "409": "Superseded",
        "413": "Too large",
        "429": "Too often; see Retry-After",
    }
    return {code: _answer(words[code], "Error") for code in codes}


def _page(with_path: bool) -> Schema:
    page = _answer("The assembled page", "Page")
    page["content"]["text/html"] = {"schema": _TEXT}
    return {
        "get": {
            "operationId": "page_at" if with_path else "page_home",
            "summary": "An assembled page",
            "tags": ["pages"],
            "parameters": [*([_PATH] if with_path else []), *_READERS, *_PAGE_ONLY],
            "responses": {
                "200": page,
                "304": {"description": "Not modified"},
                **_errors("401", "403", "404"),
            },
        }
    }


def _decide(with_path: bool) -> Schema:
    return {
        "get": {
            "operationId": "decide_at" if with_path else "decide_home",
            "summary": "The decision for this visitor, and the values that the public page leaves open",
            "tags": ["decide"],
            "parameters": [*([_PATH] if with_path else []), *_READERS],
            "responses": {"200": _answer("The decision", "Values"), **_errors("401", "404")},
        }
    }


def _call(call: str) -> Schema:
    return {
        "post": {
            "operationId": f"events_{call}",
            "summary": f"Segment-compatible: {call}",
            "tags": ["events"],
            "requestBody": {"required": True, "content": {"application/json": {"schema": _ANY_OBJECT}}},
            "responses": {
                "200": _answer("Stored", "Accepted"),
                **_errors("400", "401", "403", "413", "429"),
            },
        }
    }


def complete(result: Schema, generator: Any, request: Any, public: bool) -> Schema:
    """Add the plain views, and the shape of errors to every operation that does not name one."""
    result["components"].setdefault("schemas", {}).update(COMPONENTS)
    paths = result["paths"]
    for operations in paths.values():
        for operation in operations.values():
            for code, answer in _errors("400", "401", "403", "404", "429").items():
                operation["responses"].setdefault(code, answer)
    for with_path in (False, True):
        ending = "{path}" if with_path else ""
        paths[f"/api/v1/pages/{ending}"] = _page(with_path)
        paths[f"/api/v1/decide/{ending}"] = _decide(with_path)
    for call in ("track", "identify", "page", "screen", "group", "alias", "batch"):
        paths[f"/v1/{call}"] = _call(call)
    result["paths"] = dict(sorted(paths.items()))
    return result
