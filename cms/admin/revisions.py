"""The revisions of a block or a page: who made them when, and the way back to one of them. Changes by POST alone."""

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse

from cms.admin.notes import say_refused, when
from cms.errors import ContentError

Revert = Callable[[Any, Any], None]


def revisions_view(model_admin: Any, request: HttpRequest, object_id: str, revert: Revert) -> HttpResponse:
    """List the revisions; a POST with `n` makes that one the draft again."""
    row = get_object_or_404(model_admin.get_queryset(request), pk=object_id)
    if not model_admin.has_view_permission(request, row):
        raise PermissionDenied
    if request.method == "POST":
        if not model_admin.has_change_permission(request, row):
            raise PermissionDenied
        return _reverted(model_admin, request, row, revert)
    context = {
        **model_admin.admin_site.each_context(request),
        "opts": model_admin.opts,
        "original": row,
        "title": f"Revisions of {row}",
        "revisions": [_shown(one, row) for one in row.revisions.all()[:100]],
        "may_change": model_admin.has_change_permission(request, row),
        "back": _change_url(model_admin, row),
        "media": model_admin.media,
    }
    return TemplateResponse(request, "admin/cms/revisions.html", context)


def _shown(revision: Any, row: Any) -> dict[str, Any]:
    """Return a row of the list; blocks are written by somebody, pages are published by somebody."""
    of_page = hasattr(revision, "published_at")
    return {
        "n": revision.n,
        "when": when(revision.published_at if of_page else revision.created_at),
        "who": (revision.published_by if of_page else revision.created_by) or "–",
        "why": getattr(revision, "cause", "") or "–",
        "published": revision.pk == row.published_id,
    }


def _reverted(model_admin: Any, request: HttpRequest, row: Model, revert: Revert) -> HttpResponse:
    n = request.POST.get("n", "")
    to = get_object_or_404(row.revisions, n=int(n) if n.isdecimal() else -1)  # type: ignore[attr-defined]  # both have them
    try:
        revert(row, to)
    except ContentError as error:
        say_refused(request, f"Revision {n} cannot be brought back as it is:", error.problems)
        return HttpResponseRedirect(request.path)
    messages.success(request, f"Revision {n} is the draft again. Publish it to show it.")
    return HttpResponseRedirect(_change_url(model_admin, row))


def _change_url(model_admin: Any, row: Model) -> str:
    opts = model_admin.opts
    return reverse(f"admin:{opts.app_label}_{opts.model_name}_change", args=[row.pk])
