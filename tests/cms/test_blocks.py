"""Blocks: revisions, references, cycles and depth, publishing and withdrawing."""

import pytest

from cms.content import revert_block, save_block
from cms.errors import ContentError
from cms.models import Block, BlockReference
from cms.publishing import publish_block, unpublish_block
from tests.builders import (
    NOW,
    committing,
    headlines,
    make_block,
    make_home,
    make_page,
    make_template,
    make_type,
    placement,
    publish,
)  # fmt: skip

pytestmark = pytest.mark.django_db


def refusal(error: pytest.ExceptionInfo[ContentError]) -> tuple[str, str]:
    (problem,) = error.value.problems
    return problem.code, problem.pointer


def test_saving_adds_a_revision_and_saving_the_same_does_not() -> None:
    make_type()
    block = make_block("hello", "Hello")
    assert save_block(block, {"headline": "Hello"}, now=NOW) is None
    revision = save_block(block, {"headline": "Hi"}, now=NOW)
    assert revision is not None
    assert revision.n == 2
    assert [r.data for r in block.revisions.all()] == [
        {"headline": {"en": "Hi"}},
        {"headline": {"en": "Hello"}},
    ]


def test_a_saved_change_is_not_shown_before_it_is_published() -> None:
    make_home("hello")
    block = Block.objects.get(key="hello")
    with committing():
        save_block(block, {"headline": "Secret"}, now=NOW)
    assert headlines() == ["This is hello"]
    with committing():
        publish_block(block, now=NOW)
    assert headlines() == ["Secret"]


def test_an_older_revision_becomes_the_working_copy_again() -> None:
    make_type()
    block = make_block("hello", "Hello")
    first = block.revisions.get()
    save_block(block, {"headline": "Hi"}, now=NOW)
    revert_block(block, to=first, now=NOW)
    block.refresh_from_db()
    assert block.data == {"headline": {"en": "Hello"}}
    assert block.revisions.count() == 3


def test_publishing_a_block_compiles_the_pages_that_contain_it_again_however_deep() -> None:
    make_type()
    make_template()
    make_block("inner", "Old")
    make_block("outer", {"headline": "Outer", "items": ["inner"]})
    page = make_page(placement("outer"))
    publish(page)
    inner = Block.objects.get(key="inner")
    with committing():
        save_block(inner, {"headline": "New"}, now=NOW)
        publish_block(inner, now=NOW)
    assert page.revisions.count() == 2
    assert page.revisions.all()[0].cause == "Block inner published"


def test_publishing_what_is_published_changes_nothing() -> None:
    page = make_home("hello")
    assert publish_block(Block.objects.get(key="hello"), now=NOW) is False
    assert page.revisions.count() == 1


def test_the_default_of_a_published_page_cannot_be_withdrawn() -> None:
    make_home("hello")
    with pytest.raises(ContentError) as error:
        unpublish_block(Block.objects.get(key="hello"), now=NOW)
    assert refusal(error)[0] == "block_in_use"
    assert error.value.problems[0].message == "'hello' is the default on /. Change those pages first."
    assert headlines() == ["This is hello"]


def test_a_variant_whose_block_is_withdrawn_disappears_and_comes_back_with_it() -> None:
    make_home({"key": "always", "block": "special"}, "hello")
    assert headlines() == ["This is special"]
    special = Block.objects.get(key="special")
    with committing():
        unpublish_block(special, now=NOW)
    assert headlines() == ["This is hello"]
    with committing():
        publish_block(special, now=NOW)
    assert headlines() == ["This is special"]


def test_a_nested_block_that_is_withdrawn_is_left_out() -> None:
    make_type()
    make_template()
    make_block("inner", "Inner")
    make_block("outer", {"headline": "Outer", "items": ["inner"]})
    publish(make_page(placement("outer")))
    with committing():
        unpublish_block(Block.objects.get(key="inner"), now=NOW)
    assert headlines() == ["Outer"]


def test_a_block_cannot_contain_itself() -> None:
    make_type()
    block = make_block("a", "A")
    with pytest.raises(ContentError) as error:
        save_block(block, {"headline": "A", "items": ["a"]}, now=NOW)
    assert refusal(error) == ("cycle", "")


def test_a_block_cannot_contain_itself_by_way_of_another_one() -> None:
    make_type()
    first = make_block("a", "A")
    make_block("b", {"headline": "B", "items": ["a"]})
    make_block("c", {"headline": "C", "items": ["b"]})
    with pytest.raises(ContentError, match="'a' would contain itself"):
        save_block(first, {"headline": "A", "items": ["c"]}, now=NOW)
    first.refresh_from_db()
    assert first.data == {"headline": {"en": "A"}}
    assert not BlockReference.objects.filter(source=first).exists()


def chain(length: int) -> str:
    """Make blocks each of which contains the one before; return the outermost."""
    make_type()
    for n in range(length):
        make_block(f"b{n}", {"headline": f"{n}", "items": [f"b{n - 1}"] if n else []})
    return f"b{length - 1}"


def test_blocks_nest_eight_deep() -> None:
    outermost = chain(8)
    make_template()
    publish(make_page(placement(outermost)))
    assert headlines() == ["7"]


def test_blocks_do_not_nest_nine_deep() -> None:
    with pytest.raises(ContentError, match="nest deeper than 8"):
        chain(9)


def test_a_chain_that_grew_too_deep_from_within_is_refused_at_publish() -> None:
    outermost = chain(8)
    make_block("extra", "Extra")
    innermost = Block.objects.get(key="b0")
    with committing():
        save_block(innermost, {"headline": "0", "items": ["extra"]}, now=NOW)
        publish_block(innermost, now=NOW)
    make_template()
    with pytest.raises(ContentError) as error:
        publish(make_page(placement(outermost)))
    assert {p.code for p in error.value.problems} == {"too_deep"}


def test_a_block_that_another_one_names_cannot_be_deleted() -> None:
    from django.db.models import ProtectedError

    make_type()
    inner = make_block("inner", "Inner")
    make_block("outer", {"headline": "Outer", "items": ["inner"]})
    with pytest.raises(ProtectedError):
        inner.delete()


def test_publishing_a_nested_block_for_the_first_time_adds_it_to_its_pages() -> None:
    make_type()
    make_template()
    inner = make_block("inner", "Inner")
    make_block("outer", {"headline": "Outer", "items": ["inner"]})
    page = make_page(placement("outer"))
    publish(page)
    with committing():
        unpublish_block(inner, now=NOW)
    with committing():
        publish_block(inner, now=NOW)
    plan = page.plans.filter(active=True, locale="en").get()
    (item,) = plan.program["placements"][0]["variants"][0]["block"]["fields"]["items"]
    assert item["block"] == "inner"
