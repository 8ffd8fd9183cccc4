"""Turn a page in the notation of the peers' benchmark into a bundle: `python -m bench.convert PAGE > BUNDLE`.

In: slots with blocks, some with three variants by segment (null is the default), placeholders without defaults.
Out: `page-bundle.json`: the same texts as block types, blocks, a template and one page at `/landing`; every segment
a rule over one declared trait, every placeholder with a declared default. Kept so that the bundle can be made anew.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PURPOSE = "personalization"
PREFIX = "bench-"  # so that the page can stand beside the demo's
TEXT = {"kind": "text"}
RICH = {"kind": "rich_text"}
BLOCK_TYPES: dict[str, dict[str, dict[str, Any]]] = {
    "hero": {"title": TEXT, "subtitle": TEXT, "image": {"kind": "media"}, "cta": {"kind": "link"}},
    "headline": {"text": TEXT, "level": {"kind": "number"}},
    "usp": {"icon": TEXT, "title": TEXT, "text": TEXT},
    "product": {
        "sku": TEXT,
        "title": TEXT,
        "summary": TEXT,
        "url": {"kind": "link"},
        "image": {"kind": "media"},
        "price": TEXT,
        "currency": TEXT,
        "rating": {"kind": "number"},
        "in_stock": {"kind": "boolean"},
    },
    "product_grid": {"title": TEXT, "items": {"kind": "list", "of": "block", "types": ["bench-product"]}},
    "recommendations": {"title": TEXT, "items": {"kind": "list", "of": "block", "types": ["bench-product"]}},
    "offer_banner": {"title": TEXT, "code": TEXT, "body": TEXT, "cta": {"kind": "link"}},
    "rich_text": {"html": RICH},
    "teaser": {"title": TEXT, "text": TEXT, "cta": {"kind": "link"}},
    "question": {"q": TEXT, "a": RICH},
    "faq": {"title": TEXT, "entries": {"kind": "list", "of": "block", "types": ["bench-question"]}},
    "footer": {"links": {"kind": "list", "of": "link"}, "legal": TEXT},
}
NESTED = {
    "product_grid": ("items", "product"),
    "recommendations": ("items", "product"),
    "faq": ("entries", "question"),
}
TRAITS = {
    "first_name": ("text", "there"),
    "city": ("text", "Your town"),
    "coupon": ("text", "WELCOME"),
    "last_category": ("text", "our shop"),
    "orders_total": ("number", ""),
    "cart_open": ("boolean", ""),
    "sport": ("text", ""),
    "discount_share": ("number", ""),
    "churn_risk": ("number", ""),
    "visits": ("number", ""),
}
SEGMENTS: dict[str, tuple[dict[str, Any], str]] = {
    "vip": ({"orders_total": {"$exists": True, "$gte": 5}}, "15 %"),
    "cart-abandoner": ({"cart_open": {"$eq": True}}, "10 %"),
    "runner": ({"sport": {"$eq": "running"}}, ""),
    "hiker": ({"sport": {"$eq": "hiking"}}, ""),
    "bargain-hunter": ({"discount_share": {"$exists": True, "$gte": 0.5}}, "20 %"),
    "high-churn-risk": ({"churn_risk": {"$exists": True, "$gte": 0.7}}, "25 %"),
    "cyclist": ({"sport": {"$eq": "cycling"}}, ""),
    "returning": ({"visits": {"$exists": True, "$gte": 2}}, ""),
}


class Converter:
    """One conversion: blocks are collected on the way through the slots."""

    def __init__(self, page: dict[str, Any]) -> None:
        self.page = page
        self.blocks: list[dict[str, Any]] = []

    def bundle(self) -> dict[str, Any]:
        """Return the whole bundle."""
        slots = {s["slot"]: [*self.placements(s["slot"], s["blocks"])] for s in self.page["slots"]}
        return {
            "tessera": 1,
            "locales": ["en"],
            "block_types": [block_type(key, fields) for key, fields in BLOCK_TYPES.items()],
            "traits": [trait(key, kind, default) for key, (kind, default) in TRAITS.items()],
            "attributes": [{"key": "discount", "default": {"en": "5 %"}}],
            "segments": [segment(key, rule, discount) for key, (rule, discount) in SEGMENTS.items()],
            "templates": [template(list(slots))],
            "blocks": self.blocks,
            "pages": [
                {
                    "path": "/landing",
                    "template": PREFIX + "landing",
                    "title": {"en": self.page["title"]},
                    "slots": slots,
                }
            ],
        }

    def placements(self, slot: str, blocks: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        for number, block in enumerate(blocks, start=1):
            name = f"{slot}-{number}"
            variants = block["variants"] if block.get("personalised") else [{"segment": None, **block}]
            yield {"placement": name, "variants": [self.variant(name, one) for one in variants]}

    def variant(self, placement: str, variant: dict[str, Any]) -> dict[str, Any]:
        segment = variant["segment"]
        key = segment or "default"
        block = self.block(f"{placement}-{key}", variant["type"], variant["value"])
        if segment is None:
            return {"key": key, "default": True, "block": block}
        return {"key": key, "when": {"segments": {"$in": [segment]}}, "block": block}

    def block(self, key: str, kind: str, value: dict[str, Any]) -> str:
        """Collect a block and those that lie in it; return its key."""
        fields = {name: field(one) for name, one in value.items()}
        if "price" in fields:
            fields |= {"price": value["price"]["amount"], "currency": value["price"]["currency"]}
        if kind in NESTED:
            name, inner = NESTED[kind]
            fields[name] = [
                self.block(f"{key}-{n}", inner, one) for n, one in enumerate(value[name], start=1)
            ]
        self.blocks.append({"key": key, "type": PREFIX + kind, "fields": fields})
        return key


def field(value: Any) -> Any:
    """Return a value in the spelling of a field: an image becomes a media object."""
    if isinstance(value, dict) and "src" in value:
        return {"url": value["src"], **{name: value[name] for name in ("alt", "width", "height")}}
    return value


def block_type(key: str, fields: dict[str, dict[str, Any]]) -> dict[str, Any]:
    title = key.replace("_", " ").capitalize()
    return {
        "key": PREFIX + key,
        "title": title,
        "fields": [{"key": name, **one} for name, one in fields.items()],
    }


def trait(key: str, kind: str, default: str) -> dict[str, Any]:
    declared: dict[str, Any] = {"key": key, "type": kind, "purpose": PURPOSE}
    return declared | ({"default": {"en": default}} if default else {})


def segment(key: str, rule: dict[str, Any], discount: str) -> dict[str, Any]:
    attributes = {"discount": discount} if discount else {}
    return {"key": key, "title": key, "rule": rule, "attributes": attributes, "min_size": 0}


def template(slots: list[str]) -> dict[str, Any]:
    source = "".join(f"{{% for item in slots.{key} %}}{{{{ item.html }}}}{{% endfor %}}" for key in slots)
    declared = [{"key": key, "title": key, "types": [], "min": 0, "max": 10} for key in slots]
    return {"key": PREFIX + "landing", "title": "Landing page", "slots": declared, "source": source}


if __name__ == "__main__":
    print(
        json.dumps(
            Converter(json.loads(Path(sys.argv[1]).read_text())).bundle(), indent=1, ensure_ascii=False
        )
    )
