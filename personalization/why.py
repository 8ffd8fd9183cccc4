"""Why somebody sees what they see, in plain words for them. PURE.

In: a decision, and `Words`, how this person is spoken to. Out: plain values: for everything on the page that could have
been different two lines, what it is about and how to switch it off. Rules: no key, no rule, no number and nobody else
ever stands in the words; what was withheld was not used, and nothing is said of it; the sentences for the closed list of
reasons stand here and nowhere else. `_` marks a sentence: it is translated when it is said.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from cms.language.vocabulary import Fact
from personalization.assemble import Decision
from personalization.directory import CompiledSegment
from personalization.facts import PAGES
from personalization.fragments import materialise
from personalization.plan import SCORES, BoundPlacement, BoundVariant
from personalization.used import Used, facts_behind, switch_of, used_at, used_for_layout
from personalization.visitor import BEHAVIOUR

Told = dict[str, Any]
TITLE_FIELDS: Final = ("headline", "title", "name", "text")
MAX_TITLE: Final = 80


def _(sentence: str) -> str:
    return sentence


# What is said of a variant that nothing about the person chose: one sentence for every reason of the closed list.
REASONS: Final[Mapping[str, str]] = {
    "matched": _("This is meant for everybody, for now."),
    "default": _("This is what everybody sees."),
    "holdout": _("You are in the group that sees the page unchanged, for comparison."),
    "split": _("This is one of several versions that are being compared; which one you see was drawn by lot."),
    "no_consent": _("This is what everybody sees. Anything else would need what you have not allowed or have switched off."),
    "unknown_fact": _("This is what everybody sees. Whether something else fits cannot be found out right now."),
    "out_of_window": _("Something else is planned for this place, but not for now."),
    "capped": _("You have seen what else there is often enough."),
    "segment_too_small": _("This is what everybody sees. The group for something else is too small to single anybody out."),
    "forced": _("Somebody chose this by hand, in a preview."),
    "error": _("Something else could not be worked out, so this is what everybody sees."),
    "timeout": _("Something else took too long to work out, so this is what everybody sees."),
}  # fmt: skip
NOTHING_USED: Final = _("Nothing about you was used.")
NOTHING_CHANGED: Final = _("What is known about you changed nothing here.")
SWITCH_OFF: Final = _("Switch %(names)s off if you do not want this.")
WITHDRAW: Final = _("Do not allow %(names)s any more if you do not want this.")
# What a sentence is about → its beginning for groups, and for facts.
BECAUSE: Final[Mapping[str, tuple[str, str]]] = {
    "shown": (
        _("You see this because you belong to: %(names)s."),
        _("You see this because of: %(names)s."),
    ),
    "hidden": (
        _("Something is left out here because you belong to: %(names)s."),
        _("Something is left out here because of: %(names)s."),
    ),
    "filled": (
        _("Everybody sees this, filled in for you because you belong to: %(names)s."),
        _("Everybody sees this, filled in for you with: %(names)s."),
    ),
    "layout": (
        _("This page is arranged like this because you belong to: %(names)s."),
        _("This page is arranged like this because of: %(names)s."),
    ),
}
ALSO: Final = _("It also depends on: %(names)s.")
ON_A_DEVICE: Final[Mapping[str, str]] = {
    "mobile": _("You see this because you read on a phone."),
    "tablet": _("You see this because you read on a tablet."),
    "desktop": _("You see this because you read on a computer."),
}
CONTEXT_WORDS: Final[Mapping[str, str]] = {
    "context.device": _("the device that you read on"),
    "context.locale": _("the language that you read in"),
    "context.country": _("the country that you read from"),
    "context.hour": _("the time of day"),
    "context.weekday": _("the day of the week"),
    "context.time": _("the time of day"),
    "context.referrer": _("the page that you came from"),
    "context.campaign": _("the link that you followed"),
    "context.weather": _("the weather"),
    "context.path": _("the page that you read"),
}
ALL_THAT_ONE_DID: Final = _("what you looked at and did here")
SHOWN_BEFORE: Final = _("what you were shown before")
NOT_A_MEMBER: Final = _("that you do not belong to %(name)s")
POINTS: Final = _("how well %(name)s fits you")
SOMETHING_ABOUT_YOU: Final = _("something about you")
SOME_GROUP: Final = _("a group")
SOMEWHERE: Final = _("A part of this page")
LAYOUT: Final = _("How this page is arranged")
QUOTED: Final = _("“%(name)s”")
LIST: Final = _("%(first)s and %(last)s")
USED: Final = _("Some of this page was chosen for you, from what you allowed: %(names)s.")
LOOKED_AT: Final = _("What you allowed was looked at, and changed nothing on this page.")
NOTHING_ON_THE_PAGE: Final = _("Nothing about you was used for this page.")


@dataclass(frozen=True, slots=True)
class Words:
    """How somebody is spoken to: sentences translated, and what visitors read of facts and purposes.

    `labels`: the name of a declared fact → language → its label. `purposes`: key → title, in their language. `handle` makes
    of a segment's key by what visitors name it.
    """

    translate: Callable[[str], str]
    language: str
    handle: Callable[[str], str]
    labels: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    purposes: Mapping[str, str] = field(default_factory=dict)

    def say(self, sentence: str, **values: str) -> str:
        """Return a sentence with its values, in the person's language."""
        return self.translate(sentence) % values if values else self.translate(sentence)

    def labelled(self, label: Mapping[str, str], otherwise: str) -> str:
        """Return a label in the person's language, its fallback, or the title, which may be translated."""
        return label.get(self.language) or label.get("en") or (self.translate(otherwise) if otherwise else "")

    def joined(self, names: Iterable[str], *, quoted: bool = False) -> str:
        """Return names as one phrase."""
        listed = [self.say(QUOTED, name=name) if quoted else name for name in dict.fromkeys(names)]
        if len(listed) < 2:
            return "".join(listed)
        return self.say(LIST, first=", ".join(listed[:-1]), last=listed[-1])


def why(decision: Decision, words: Words) -> Told:
    """Return what one is told about a page, as `GET /api/v1/privacy/why` answers it."""
    teller = _Teller(decision, words)
    placements = [told for index in _in_order(decision) if (told := teller.placement(index)) is not None]
    layout = teller.layout()
    used = any(told["personal"] for told in (*placements, *([layout] if layout else [])))
    purposes = [{"key": key, "title": teller.purpose(key)} for key in decision.purposes]
    return {
        "path": decision.plan.path,
        "locale": decision.plan.locale,
        "used": used,
        "summary": teller.summary(used, [purpose["title"] for purpose in purposes]),
        "purposes": purposes,
        "layout": layout,
        "placements": placements,
    }


def _in_order(decision: Decision) -> list[int]:
    """Return the places of the layout that was chosen, slot by slot."""
    return [index for _, _, indexes in decision.plan.layouts[decision.layout].slots for index in indexes]


class _Teller:
    """Puts one decision into words."""

    def __init__(self, decision: Decision, words: Words) -> None:
        self.decision, self.words = decision, words
        self.facts = {fact.name: fact for fact in decision.plan.facts}
        self.segments = {segment.key: segment for segment in decision.plan.segments}

    def placement(self, index: int) -> Told | None:
        """Tell of one placement; None where it could not have been different."""
        placement = self.decision.plan.placements[index]
        chosen, reason = self.decision.choices[index]
        variant, used = placement.variants[chosen], used_at(self.decision, index)
        shown = variant.fragment is not None
        if (len(placement.variants) < 2 or not shown) and not used.personal:
            return None
        about = "filled" if reason != "matched" else "shown" if shown else "hidden"
        because = self.because(used, about) if reason != "capped" else ""
        first = because or self.words.say(REASONS[reason])
        told = self.told(used, (first, self.second(used, looked_at=self.looked_at(placement))))
        title = self.title(variant if shown else placement.variants[-1])
        return {"placement": placement.key, "title": title, "shown": shown} | told

    def layout(self) -> Told | None:
        """Tell of the layout where something about the person chose it."""
        used = used_for_layout(self.decision)
        if not used.personal:
            return None
        lines = (self.because(used, "layout"), self.second(used, looked_at=True))
        return {"title": self.words.say(LAYOUT)} | self.told(used, lines)

    def told(self, used: Used, lines: Sequence[str]) -> Told:
        names = dict.fromkeys((*used.facts, *facts_behind(self.decision, used.inside)))
        group = next(iter((*used.inside, *used.outside)), None)
        switches = self.switches(used)
        return {
            "personal": used.personal,
            "lines": list(lines),
            "facts": list(dict.fromkeys(self.fact(name) for name in names)),
            "segment": {"name": self.words.handle(group), "title": self.segment(group)} if group else None,
            "off": {kind: name for kind, name in switches[0].items() if kind != "title"}
            if switches
            else None,
            "switches": switches,
        }

    def switches(self, used: Used) -> list[dict[str, str]]:
        """Return everything that must be off for this to end, each with what it is called."""
        groups = [
            {"segment": self.words.handle(key), "title": self.segment(key)}
            for key in (*used.inside, *used.outside)
        ]
        names = dict.fromkeys(switch_of(name) for name in used.facts)
        return groups + [{"fact": self.switch(name), "title": self.fact(name)} for name in names]

    def switch(self, name: str) -> str:
        """Return by what a fact is taken out of use; a score by the handle of its segment."""
        return SCORES + self.words.handle(name.removeprefix(SCORES)) if name.startswith(SCORES) else name

    def because(self, used: Used, about: str) -> str:
        """Return what chose it, the person's groups first; empty when nothing did."""
        groups = [self.segment(key) for key in used.inside]
        others = [self.fact(name) for name in used.facts]
        others += [self.words.say(NOT_A_MEMBER, name=self.quoted(key)) for key in used.outside]
        others += [self.words.say(SHOWN_BEFORE)] if used.paced else []
        if about == "shown" and not groups and not others and (device := self.device(used)):
            return device
        others += [self.words.say(CONTEXT_WORDS.get(name, SOMETHING_ABOUT_YOU)) for name in used.context]
        of_groups, of_facts = BECAUSE[about]
        if not groups:
            return self.words.say(of_facts, names=self.words.joined(others)) if others else ""
        first = self.words.say(of_groups, names=self.words.joined(groups))
        return f"{first} {self.words.say(ALSO, names=self.words.joined(others))}" if others else first

    def device(self, used: Used) -> str:
        """Return the sentence for what is shown because of the device alone."""
        value = self.decision.facts.get("context.device")
        known = used.context == ("context.device",) and isinstance(value, str) and value in ON_A_DEVICE
        return self.words.say(ON_A_DEVICE[str(value)]) if known else ""

    def second(self, used: Used, *, looked_at: bool) -> str:
        """Return how to switch it off, or that there is nothing to switch off."""
        if not used.personal:
            return self.words.say(NOTHING_CHANGED if looked_at else NOTHING_USED)
        names = [switch["title"] for switch in self.switches(used)]
        if not names:
            return self.words.say(WITHDRAW, names=self.words.joined([self.purpose(PAGES)], quoted=True))
        return self.words.say(SWITCH_OFF, names=self.words.joined(names, quoted=True))

    def looked_at(self, placement: BoundPlacement) -> bool:
        """Whether anything that is allowed was looked at to choose here, whatever came of it."""
        granted = self.decision.visitor.gates.granted
        facts = [fact.purposes for v in placement.variants for fact in v.rule_facts]
        segments = [
            self.segments[key].purposes
            for v in placement.variants
            for key in v.rule_segments
            if key in self.segments
        ]
        paced = [frozenset({PAGES})] if placement.paced else []
        return any(purposes and purposes <= granted for purposes in (*facts, *segments, *paced))

    def title(self, variant: BoundVariant) -> str:
        """Return what stands at a place, in its own words: its headline, or the first sentence in it."""
        if variant.block is None:
            return self.words.say(SOMEWHERE)
        fields = materialise(variant.block["fields"], self.decision.facts, variant.writer, markup=False)
        texts = [_text_of(fields[name]) for name in TITLE_FIELDS if name in fields]
        texts += [text for value in fields.values() if " " in (text := _text_of(value))]
        return next((_short(text) for text in texts if text), self.words.say(SOMEWHERE))

    def segment(self, key: str) -> str:
        """Return what visitors read of a segment."""
        segment: CompiledSegment | None = self.segments.get(key)
        return self.words.labelled(segment.label, segment.title) if segment else self.words.say(SOME_GROUP)

    def quoted(self, key: str) -> str:
        return self.words.say(QUOTED, name=self.segment(key))

    def fact(self, name: str) -> str:
        """Return what visitors read of a fact."""
        if name == BEHAVIOUR:
            return self.words.say(ALL_THAT_ONE_DID)
        if name.startswith(SCORES):
            return self.words.say(POINTS, name=self.quoted(name.removeprefix(SCORES)))
        fact: Fact | None = self.facts.get(name)
        label = self.words.labels.get(name, {})
        return self.words.labelled(label, fact.title if fact else "") or self.words.say(SOMETHING_ABOUT_YOU)

    def purpose(self, key: str) -> str:
        return self.words.purposes.get(key) or self.words.say(SOMETHING_ABOUT_YOU)

    def summary(self, used: bool, purposes: list[str]) -> str:
        if used:
            return self.words.say(USED, names=self.words.joined(purposes))
        return self.words.say(LOOKED_AT if purposes else NOTHING_ON_THE_PAGE)


def _text_of(value: Any) -> str:
    """Return the words of a field's value, rich text without its markup; empty where it has none."""
    if isinstance(value, Mapping) and isinstance(value.get("html"), str):
        value = re.sub(r"<[^>]*>", " ", value["html"])
    return " ".join(value.split()) if isinstance(value, str) else ""


def _short(text: str) -> str:
    """Return a text that fits into a line, cut at a word."""
    if len(text) <= MAX_TITLE:
        return text
    return text[: MAX_TITLE - 1].rsplit(" ", 1)[0].rstrip(",.;:– ") + " …"
