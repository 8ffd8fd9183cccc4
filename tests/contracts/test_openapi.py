"""The API's document: what is generated is what is committed, and every route of the contract is in it."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import OpenApiYamlRenderer

SNAPSHOT = Path(__file__).parents[2] / "docs" / "reference" / "openapi.yaml"


@pytest.fixture(scope="module")
def schema() -> Any:
    return SchemaGenerator().get_schema(request=None, public=True)


def test_the_document_is_the_one_that_is_committed(schema: Any) -> None:
    generated = OpenApiYamlRenderer().render(schema, renderer_context={}).decode()
    assert generated == SNAPSHOT.read_text("utf-8"), (
        "The API has changed: make openapi writes its document anew."
    )


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/api/v1/preview", {"post"}),
        ("/api/v1/consent", {"get", "put"}),
        ("/api/v1/consent/history", {"get"}),
        ("/api/v1/catalogue/{type_key}", {"post"}),
    ],
)
def test_a_route_of_the_contract_is_documented(schema: Any, path: str, methods: set[str]) -> None:
    assert methods <= set(schema["paths"][path])


def test_every_answer_has_a_summary(schema: Any) -> None:
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            assert operation.get("summary") or operation.get("description"), f"{method} {path}"


def test_the_committed_document_can_be_read() -> None:
    assert yaml.safe_load(SNAPSHOT.read_text("utf-8"))["openapi"].startswith("3.")
