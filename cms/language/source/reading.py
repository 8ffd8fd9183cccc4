"""From text to a tree that is small enough to walk: length, tokens, brackets, nodes."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from jinja2 import TemplateSyntaxError, nodes

from cms.language.nodes import Problem
from cms.language.source.environment import ENVIRONMENT
from cms.language.source.limits import (
    MAX_BRACKETS,
    MAX_DEPTH,
    MAX_NODES,
    MAX_NUMBER_CHARS,
    MAX_SOURCE_BYTES,
    MAX_TAG_TOKENS,
    MAX_TOKENS,
    SourceError,
    problem,
    refuse,
)


def parsed(source: str) -> nodes.Template:
    refuse(_text_faults(source))
    try:
        refuse(_token_faults(source))
        tree = ENVIRONMENT.parse(source)
    except TemplateSyntaxError as error:
        raise SourceError((problem("template_syntax", error.lineno, _sentence(error)),)) from error
    except RecursionError as error:
        raise SourceError((problem("template_too_deep", 1, "the template is nested too deeply."),)) from error
    refuse(_size_faults(tree))
    return tree


def _sentence(error: TemplateSyntaxError) -> str:
    text = (error.message or "this is not a template").rstrip(".")
    return f"{text[:200]}."


def _text_faults(source: str) -> Iterator[Problem]:
    if len(source.encode("utf-8", "replace")) > MAX_SOURCE_BYTES:
        yield problem("template_too_large", 1, f"the template is larger than {MAX_SOURCE_BYTES} bytes.")
    elif strange := re.search(r"[\x00-\x08\x0b\x0e-\x1f\ud800-\udfff]", source):
        line = source.count("\n", 0, strange.start()) + 1
        yield problem("bad_character", line, f"the character U+{ord(strange[0]):04X} is not allowed.")


def _token_faults(source: str) -> Iterator[Problem]:
    """Bound what the parser will see, for its own recursion and its time have no bound."""
    tally = Tally()
    for line, kind, text in ENVIRONMENT.lexer.tokeniter(source, None):
        tally.add(kind, text)
        if fault := tally.fault():
            yield problem(fault[0], line, fault[1])
            return


@dataclass(slots=True)
class Tally:
    """What was counted so far: tokens, those of the present tag, names, open brackets and open blocks."""

    tokens: int = 0
    names: int = 0
    in_tag: int = 0
    brackets: int = 0
    blocks: int = 0
    digits: int = 0

    def add(self, kind: str, text: str) -> None:
        """Count one token."""
        if kind in {"data", "whitespace"}:
            return
        first_word = kind == "name" and self.in_tag == 1
        self.tokens += 1
        # every name becomes a node at least, so that too many are seen before they are parsed
        self.names += kind == "name" and text not in KEYWORDS
        self.in_tag = 1 if kind.endswith("_begin") else self.in_tag + 1
        self.brackets += ((text in OPENING) - (text in CLOSING)) if kind == "operator" else 0
        self.blocks += ((text in {"if", "for"}) - text.startswith("end")) if first_word else 0
        self.digits = len(text) if kind in {"integer", "float"} else 0

    def fault(self) -> tuple[str, str] | None:
        """Give the code and the sentence of the first bound that is passed."""
        if self.tokens > MAX_TOKENS:
            return "template_too_large", f"the template has more than {MAX_TOKENS} words and signs."
        if self.names > MAX_NODES:
            return "template_too_large", TOO_MANY_NODES
        if self.in_tag > MAX_TAG_TOKENS:
            return "template_too_large", f"a tag has more than {MAX_TAG_TOKENS} words and signs."
        if max(self.brackets, self.blocks) > MAX_BRACKETS:
            return "template_too_deep", f"brackets or blocks are nested more than {MAX_BRACKETS} deep."
        if self.digits > MAX_NUMBER_CHARS:
            return "bad_constant", f"a number has more than {MAX_NUMBER_CHARS} digits."
        return None


OPENING: Final = frozenset("([{")
CLOSING: Final = frozenset(")]}")
KEYWORDS: Final = frozenset({"if", "elif", "else", "endif", "for", "endfor", "in", "not", "and", "or", "is"})
TOO_MANY_NODES: Final = f"the template has more than {MAX_NODES} nodes."


def _size_faults(tree: nodes.Template) -> Iterator[Problem]:
    count, stack = 0, [(node, 1) for node in tree.body]
    while stack:
        node, depth = stack.pop()
        count += not isinstance(node, nodes.TemplateData)
        if depth > MAX_DEPTH:
            yield problem(
                "template_too_deep", node.lineno, f"the template is nested more than {MAX_DEPTH} deep."
            )
            return
        if count > MAX_NODES:
            yield problem("template_too_large", node.lineno, TOO_MANY_NODES)
            return
        stack.extend((child, depth + 1) for child in node.iter_child_nodes())
