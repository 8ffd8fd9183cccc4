"""What must hold whoever writes: the database itself refuses."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models import ProtectedError

from cms.models import (
    Block,
    BlockReference,
    BlockRevision,
    BlockType,
    Page,
    PageRevision,
    PageTemplate,
    Placement,
    Plan,
    Site,
    Template,
    Variant,
)  # fmt: skip
from tests.builders import NOW, default, make_home, make_media, the_site

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def home() -> None:
    make_home({"key": "a", "hide": True, "when": {"context.hour": {"$eq": 7}}}, default("hello"))


def refused(write: Callable[[], Any]) -> str:
    """Return the constraint that stands in the way, deferred ones included."""
    with pytest.raises(IntegrityError) as error, transaction.atomic():
        _write_at_once(write)
    return str(error.value)


def _write_at_once(write: Callable[[], Any]) -> None:
    write()
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")


def one_variant() -> Variant:
    return Variant.objects.get(key="a")


def the_default() -> Variant:
    return Variant.objects.get(is_default=True)


def the_placement() -> Placement:
    return Placement.objects.get()


def the_page() -> Page:
    return Page.objects.get()


def the_block() -> Block:
    return Block.objects.get()


CASES: dict[str, Callable[[], Any]] = {
    "variant_one_default": lambda: Variant.objects.create(
        placement=the_placement(), position=9, key="second", is_default=True, block=the_block()
    ),
    "variant_position_once": lambda: Variant.objects.create(
        placement=the_placement(), position=0, key="second", kind="hide"
    ),
    "variant_key_once": lambda: Variant.objects.create(
        placement=the_placement(), position=9, key="a", kind="hide"
    ),
    "variant_default_is_plain (rule)": lambda: Variant.objects.filter(pk=the_default().pk).update(
        rule={"context.hour": 7}
    ),
    "variant_default_is_plain (dates)": lambda: Variant.objects.filter(pk=the_default().pk).update(
        starts_at=NOW
    ),
    "variant_default_is_plain (cap)": lambda: Variant.objects.filter(pk=the_default().pk).update(
        cap={"times": 1}
    ),
    "variant_default_is_plain (kind)": lambda: Variant.objects.filter(pk=the_default().pk).update(
        kind="hide", block=None
    ),
    "variant_kind_and_columns_agree (hide with a block)": lambda: Variant.objects.filter(
        pk=one_variant().pk
    ).update(block=the_block()),
    "variant_kind_and_columns_agree (override of nothing)": lambda: Variant.objects.filter(
        pk=one_variant().pk
    ).update(kind="override"),
    "variant_kind_and_columns_agree (replace with an override)": lambda: Variant.objects.filter(
        pk=one_variant().pk
    ).update(kind="replace", block=the_block(), overrides={}),
    "variant_starts_before_it_ends": lambda: Variant.objects.filter(pk=one_variant().pk).update(
        starts_at=NOW, ends_at=NOW
    ),
    "placement_position_once": lambda: Placement.objects.create(
        page=the_page(), slot="hero", position=0, key="second"
    ),
    "placement_key_once": lambda: Placement.objects.create(
        page=the_page(), slot="hero", position=1, key="home-hero"
    ),
    "page_path_once": lambda: Page.objects.create(site=the_site(), path="/"),
    "page_lives_before_it_expires": lambda: Page.objects.update(go_live_at=NOW, expire_at=NOW),
    "page_revision_once": lambda: PageRevision.objects.create(
        page=the_page(), n=1, content={}, published_at=NOW
    ),
    "plan_once": lambda: Plan.objects.create(
        page=the_page(), revision=PageRevision.objects.get(), locale="en", program={}, checksum="x"
    ),
    "page_template_one_default": lambda: PageTemplate.objects.create(
        page=the_page(), position=1, template=Template.objects.get(), is_default=True
    ),
    "page_template_position_once": lambda: PageTemplate.objects.create(
        page=the_page(), position=0, template=Template.objects.get()
    ),
    "page_template_default_has_no_rule": lambda: PageTemplate.objects.update(rule={"context.hour": 7}),
    "template_key_once": lambda: Template.objects.create(site=the_site(), key="landing", title="x"),
    "block_type_key_once": lambda: BlockType.objects.create(site=the_site(), key="hero", title="x"),
    "block_key_once": lambda: Block.objects.create(
        site=the_site(), key="hello", type=BlockType.objects.get()
    ),
    "block_is_published_or_live_not_both": lambda: Block.objects.update(live=True),
    "block_revision_once": lambda: BlockRevision.objects.create(
        block=the_block(), n=1, data={}, created_at=NOW
    ),
    "block_reference_once": lambda: [
        BlockReference.objects.create(source=the_block(), target=the_block()) for _ in range(2)
    ],
    "media_key_once": lambda: [make_media("ridge") for _ in range(2)],
    "site_has_a_locale": lambda: Site.objects.update(locales=[]),
    "cms_site_key": lambda: Site.objects.create(pk=99, key="main", title="x"),
}


@pytest.mark.parametrize("name", CASES)
def test_the_database_refuses(name: str) -> None:
    assert name.partition(" ")[0] in refused(CASES[name])


@pytest.mark.parametrize("model", [Block, BlockType, Template])
def test_what_is_used_cannot_be_deleted(model: Any) -> None:
    with pytest.raises(ProtectedError):
        model.objects.get().delete()


def test_positions_may_be_exchanged_within_one_transaction() -> None:
    first, last = Variant.objects.order_by("position")
    with transaction.atomic():
        Variant.objects.filter(pk=first.pk).update(position=last.position)
        Variant.objects.filter(pk=last.pk).update(position=first.position)
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    assert [v.key for v in Variant.objects.order_by("position")] == ["default", "a"]
