"""The links under which an editor sees the draft of a page as somebody else."""

from typing import Any
from urllib.parse import urlencode

from django import template
from django.urls import reverse

from personalization.people import people

register = template.Library()


@register.inclusion_tag("admin/personalization/see_as_links.html")
def see_as_links(page: Any) -> dict[str, Any]:
    """Link to the draft as each known person sees it, and as nobody."""
    address = reverse("admin:see-as", args=[page.pk])
    links = [("Nobody", "Somebody who has not decided yet.", address)]
    links += [(one.title, one.description, f"{address}?{urlencode({'person': one.key})}") for one in people()]
    return {"links": links}
