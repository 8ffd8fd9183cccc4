"""Judge every output by its place in the markup, and wrap what begins an address.

Goes in a parsed source; comes out its problems, and the tree rewritten for rendering.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from jinja2 import nodes

from cms.language.nodes import Problem
from cms.language.source.limits import problem
from cms.language.source.markup import (
    ANIMATING_ELEMENTS,
    LOADING_ELEMENTS,
    SETTLED,
    TEXT_ELEMENTS,
    URL_ATTRIBUTES,
    Place,
    Places,
    is_settled,
)


def follow_markup(tree: nodes.Template) -> tuple[Problem, ...]:
    """Find the place of every output; wrap those in attributes, refuse those in bad places."""
    places: Places = {}
    _walk(tree.body, Place(), places)
    problems = [
        problem for (_, index), (node, place) in places.items() for problem in _misplaced(node, index, place)
    ]
    for (_, index), (node, place) in places.items():
        node.nodes[index] = _wrapped(node.nodes[index], place)
    return tuple(problems)


def _misplaced(node: nodes.Output, index: int, place: Place) -> Iterator[Problem]:
    if reason := _output_fault(place):
        yield problem("unsafe_output", node.nodes[index].lineno, reason)


def _walk(body: Iterable[nodes.Node], place: Place, places: Places) -> Place:
    for node in body:
        if isinstance(node, nodes.Output):
            place = _walk_output(node, place, places)
        elif isinstance(node, nodes.If):
            place = _walk_if(node, place, places)
        elif isinstance(node, nodes.For):
            place = _walk_for(node, place, places)
    return place


def _walk_output(node: nodes.Output, place: Place, places: Places) -> Place:
    for index, part in enumerate(node.nodes):
        if isinstance(part, nodes.TemplateData):
            place = place.after(part.data)
            continue
        places[id(node), index] = (node, place)
        place = replace(place, value=SETTLED) if place.kind == "value" else place
    return place


def _walk_if(node: nodes.If, place: Place, places: Places) -> Place:
    ends = [_walk(branch.body, place, places) for branch in (node, *node.elif_)]
    last = _walk(node.else_, place, places)
    for end in ends:
        last = last.joined(end)
    return last


def _walk_for(node: nodes.For, place: Place, places: Places) -> Place:
    """Walk the body with every place that the item before may have left, until there is no new one."""
    start, end = place, _walk(node.body, place, places)
    while start.joined(end) != start:
        start = start.joined(end)
        end = _walk(node.body, start, places)
    return start.joined(_walk(node.else_, place, places))


def _output_fault(place: Place) -> str:
    if place.kind == "lost":
        return "before this output the markup is cut by a tag of the template; close it in each branch."
    if place.kind == "comment":
        return "an output cannot stand in an HTML comment; write the comment as {# … #}."
    if place.kind == "raw" and place.element not in TEXT_ELEMENTS:
        return f"an output cannot stand in <{place.element}>."
    if place.kind == "value":
        return _value_fault(place)
    if place.kind == "before":
        return _value_fault(place)
    if place.kind in {"open", "bang", "name", "tag"}:
        return "an output in a tag stands in the quoted value of an attribute."
    return ""


def _value_fault(place: Place) -> str:
    name, loads = place.attribute, place.element in LOADING_ELEMENTS and place.attribute in URL_ATTRIBUTES
    if not place.quote:
        return f'an attribute with an output is written in quotes: {name[:40]}="…".'
    if name.startswith("on") or name in {"style", "srcdoc"} or "?" in name:
        return f"an output cannot stand in the attribute '{name[:40]}'."
    if loads or place.element in ANIMATING_ELEMENTS:
        return f"an output cannot stand in the attribute '{name[:40]}' of <{place.element}>."
    if name in URL_ATTRIBUTES and place.value.strip() and not is_settled(place.value):
        return f"the address in '{name}' begins with /, http:, https:, mailto: or tel:, or is one output."
    return ""


def _wrapped(part: nodes.Expr, place: Place) -> nodes.Expr:
    if place.kind == "text":
        return part
    begins = place.kind == "value" and place.attribute in URL_ATTRIBUTES and not place.value.strip()
    return _filtered(part, "address" if begins else "plain")


def _filtered(node: nodes.Node, name: str, *args: nodes.Expr) -> nodes.Filter:
    return nodes.Filter(node, name, list(args), [], None, None, lineno=node.lineno)


def rewrite(tree: nodes.Template) -> None:
    """Put comparisons and loops through filters of our own, which never raise and stay in bounds."""
    for loop in tree.find_all(nodes.For):
        loop.iter = _filtered(loop.iter, "rows")
    _rewrite_compares(tree)


def _rewrite_compares(node: nodes.Node) -> None:
    for field, value in list(node.iter_fields()):
        items = value if isinstance(value, list) else [value]
        for item in items:
            if isinstance(item, nodes.Node):
                _rewrite_compares(item)
        fresh = [_compared(item) if isinstance(item, nodes.Compare) else item for item in items]
        setattr(node, field, fresh if isinstance(value, list) else fresh[0])


def _compared(node: nodes.Compare) -> nodes.Expr:
    left: nodes.Expr = node.expr
    found: nodes.Expr | None = None
    for operand in node.ops:
        sign = nodes.Const(operand.op, lineno=node.lineno)
        step = _filtered(left, "compare", sign, operand.expr)
        found = nodes.And(found, step, lineno=node.lineno) if found else step
        left = operand.expr
    return found or left
