"""Widgets of the editor's forms: texts per locale, links, pictures with a preview, and lists that can be sorted.

Each works without scripts; `cms/admin.js` adds moving, removing and previews.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import admin
from django.contrib.admin.widgets import AutocompleteSelect
from unfold import widgets as unfold

from cms.models import Media as Picture
from cms.models import Variant


class PerLocale(forms.Widget):
    """One input per locale, each labelled with its locale; the value is `{locale: text}`."""

    template_name = "cms/widgets/per_locale.html"

    def __init__(self, locales: Sequence[str], *, multiline: bool = False) -> None:
        super().__init__()
        self.locales, self.multiline = tuple(locales), multiline

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        context = super().get_context(name, value, attrs)
        texts = value if isinstance(value, Mapping) else {}
        context["inputs"] = [(one, self._input(name, one, texts.get(one), attrs)) for one in self.locales]
        return context

    def _input(self, name: str, locale: str, text: object, attrs: dict[str, Any] | None) -> str:
        widget = unfold.UnfoldAdminTextareaWidget() if self.multiline else unfold.UnfoldAdminTextInputWidget()
        identity = {"id": f"{(attrs or {}).get('id', name)}.{locale}", "lang": locale}
        size = {"rows": 3} if self.multiline else {}
        return str(widget.render(f"{name}.{locale}", text, {**identity, **size}))

    def value_from_datadict(self, data: Any, files: Any, name: str) -> dict[str, str]:
        return {one: data.get(f"{name}.{one}", "") for one in self.locales}

    def value_omitted_from_data(self, data: Any, files: Any, name: str) -> bool:
        return not any(f"{name}.{one}" in data for one in self.locales)

    def id_for_label(self, id_: str) -> str:
        return f"{id_}.{self.locales[0]}" if id_ else id_


class LinkInput(forms.MultiWidget):
    """Where a link goes, what it says, and where it opens."""

    template_name = "cms/widgets/link.html"

    def __init__(self) -> None:
        super().__init__(
            {
                "href": _labelled(unfold.UnfoldAdminTextInputWidget(), "Goes to", "/outdoor or https://…"),
                "label": _labelled(unfold.UnfoldAdminTextInputWidget(), "Says", "What the link says"),
                "target": _labelled(unfold.UnfoldAdminSelectWidget(choices=_TARGETS), "Opens", ""),
            }
        )

    def decompress(self, value: Any) -> list[Any]:
        if isinstance(value, str):
            value = {"href": value}
        link = value if isinstance(value, Mapping) else {}
        href = link.get("href")
        spelled = f"page:{href.get('page')}" if isinstance(href, Mapping) else href
        return [spelled, link.get("label"), link.get("target")]

    def rows_from(self, data: Any, name: str) -> list[list[Any]]:
        """Read one link per row of a sorted list."""
        columns = [data.getlist(f"{name}_{part}") for part in ("href", "label", "target")]
        return [list(row) for row in zip(*columns, strict=True)]


_TARGETS = (
    ("", "in the same window"),
    ("_blank", "in a new window"),
    ("_self", "in the same window, always"),
)


def _labelled(widget: Any, label: str, placeholder: str) -> Any:
    widget.attrs |= {"aria-label": label, "placeholder": placeholder}
    return widget


class PictureSelect(unfold.UnfoldAdminSelectWidget):  # type: ignore[misc]  # unfold ships no types
    """A list of the site's pictures with a preview of the chosen one."""

    template_name = "cms/widgets/picture.html"

    def __init__(self, pictures: Sequence[Picture]) -> None:
        super().__init__()
        self.addresses = {picture.key: picture.file.url for picture in pictures if picture.file}

    def create_option(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        option: dict[str, Any] = super().create_option(*args, **kwargs)
        if address := self.addresses.get(str(option["value"])):
            option["attrs"]["data-picture"] = address
        return option

    def get_context(self, name: str, value: Any, attrs: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context(name, value, attrs)
        context["picture"] = self.addresses.get(str(value), "")
        return context


class BlockSelect(AutocompleteSelect):
    """A block, found by typing; only blocks of the given types are offered."""

    def __init__(self, types: Sequence[str] = ()) -> None:
        super().__init__(Variant._meta.get_field("block"), admin.site)
        self.types = tuple(types)

    def get_url(self) -> str:
        address = super().get_url()
        return f"{address}?{urlencode({'types': ','.join(self.types)})}" if self.types else address


class Rows(forms.Widget):
    """One row per value, to be moved, removed and added to; empty rows do not count."""

    template_name = "cms/widgets/rows.html"
    spare = 1

    def __init__(self, inner: Any) -> None:
        super().__init__()
        self.inner = inner

    @property
    def media(self) -> forms.Media:
        inner: forms.Media = self.inner.media
        return inner

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        context = super().get_context(name, value, attrs)
        identity = (attrs or {}).get("id", name)
        shown = [*(value or ()), *[None] * self.spare]
        context["rows"] = [
            self.inner.render(name, one, {"id": f"{identity}.{index}"}) for index, one in enumerate(shown)
        ]
        context["blank"] = self.inner.render(name, None, {"id": f"{identity}.__prefix__"})
        return context

    def value_from_datadict(self, data: Any, files: Any, name: str) -> list[Any]:
        if hasattr(self.inner, "rows_from"):
            return [row for row in self.inner.rows_from(data, name) if any(row)]
        sent = data.getlist(name) if hasattr(data, "getlist") else data.get(name, [])
        return [one for one in sent if one not in ("", None)]

    def value_omitted_from_data(self, data: Any, files: Any, name: str) -> bool:
        return False

    def id_for_label(self, id_: str) -> str:
        return f"{id_}.0" if id_ else id_


class Pairs(forms.Widget):
    """Rows of a name and a text per locale; the value is `{name: {locale: text}}`."""

    template_name = "cms/widgets/pairs.html"
    spare = 2

    def __init__(self, locales: Sequence[str]) -> None:
        super().__init__()
        self.locales = tuple(locales)

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        context = super().get_context(name, value, attrs)
        pairs = list(value.items()) if isinstance(value, Mapping) else list(value or ())
        shown: list[tuple[str, Any]] = [*pairs, *[("", {})] * self.spare]
        context["locales"], context["rows"] = self.locales, [self._row(name, *pair) for pair in shown]
        return context

    def _row(self, name: str, key: str, texts: Any) -> list[str]:
        texts = texts if isinstance(texts, Mapping) else {self.locales[0]: texts}
        inputs = [
            ("key", "Name", key),
            *((one, f"Value ({one})", texts.get(one, "")) for one in self.locales),
        ]
        return [
            unfold.UnfoldAdminTextInputWidget().render(
                f"{name}.{part}", text, {"aria-label": label, "placeholder": label}
            )
            for part, label, text in inputs
        ]

    def value_from_datadict(self, data: Any, files: Any, name: str) -> list[tuple[str, dict[str, str]]]:
        columns = [data.getlist(f"{name}.{one}") for one in self.locales]
        rows = zip(data.getlist(f"{name}.key"), *columns, strict=True)
        return [
            (key.strip(), {one: text for one, text in zip(self.locales, texts, strict=True) if text})
            for key, *texts in rows
            if key.strip() or any(texts)
        ]
