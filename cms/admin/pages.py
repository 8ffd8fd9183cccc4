"""Pages: what stands in which slot, for whom; checked while it is a draft, published when every check is passed."""

from typing import Any

from django.contrib import admin, messages
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.safestring import SafeString
from unfold.admin import StackedInline

from cms.admin.base import SiteAdmin, submit_button
from cms.admin.blocks import run_submitted
from cms.admin.notes import badge, listed, say_refused
from cms.admin.page_forms import (
    PageForm,
    PageTemplateForm,
    PlacementForm,
    PlacementFormSet,
    RowFormSet,
    Surroundings,
    VariantForm,
    VariantFormSet,
)
from cms.admin.revisions import revisions_view
from cms.admin.vocabulary import vocabulary_view
from cms.errors import ContentError, errors_among
from cms.models import Page, PageRevision, PageTemplate, Placement, Variant
from cms.pages import content_of
from cms.publishing import publish_page, revert_page, unpublish_page
from cms.review import page_problems


class RowInline(StackedInline):  # type: ignore[misc]  # unfold ships no types
    """A sortable list of rows, each folded until it is opened."""

    extra = 0
    collapsible = True
    ordering_field = "position"
    hide_ordering_field = True
    ordering: tuple[str, ...] = ("position",)


class VariantInline(RowInline):
    model = Variant
    form = VariantForm
    formset = VariantFormSet
    ordering = ("position",)
    fieldsets = (
        (None, {"fields": (("kind", "key", "is_default"), "block", "overrides", "rule", "position")}),
        (
            "Dates and cap",
            {
                "fields": (
                    ("starts_at", "ends_at"),
                    ("cap_times", "cap_within", "offer"),
                    ("experience", "weight"),
                ),
                "classes": ("collapse",),
            },
        ),
    )

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Variant]":
        rows: QuerySet[Variant] = super().get_queryset(request).select_related("block")
        return rows


class PlacementInline(RowInline):
    model = Placement
    form = PlacementForm
    formset = PlacementFormSet
    inlines = (VariantInline,)
    fields = (("slot", "key"), ("min_interval", "rotation"), "position")
    ordering = ("slot", "position")


class PageTemplateInline(RowInline):
    model = PageTemplate
    form = PageTemplateForm
    formset = RowFormSet
    verbose_name = "template"
    verbose_name_plural = "templates"
    fields = (("template", "is_default"), "rule", "position")

    def get_extra(self, request: HttpRequest, obj: Page | None = None, **kwargs: Any) -> int:
        return 0 if obj else 1


@admin.register(Page)
class PageAdmin(SiteAdmin):
    form = PageForm
    list_display = ("path", "shown_title", "state", "updated_at")
    list_per_page = 25
    list_select_related = ("site", "published")
    search_fields = ("path", "title")
    inlines = (PageTemplateInline, PlacementInline)
    actions_submit_line = ("publish", "unpublish")
    change_form_outer_before_template = "admin/cms/page/above.html"
    fieldsets = (
        (None, {"fields": ("path", "title", "description")}),
        ("Dates", {"fields": (("go_live_at", "expire_at"),), "classes": ("collapse",)}),
    )

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ()

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("vocabulary.json", view(vocabulary_view), name="cms_vocabulary"),
            path("<int:object_id>/revisions/", view(self.revisions_view), name="cms_page_revisions"),
            *super().get_urls(),
        ]

    def revisions_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def revert(page: Page, to: PageRevision) -> None:
            revert_page(page, to=to)

        return revisions_view(self, request, object_id, revert)

    # -- the list -------------------------------------------------------------------------------

    @admin.display(description="Title")
    def shown_title(self, page: Page) -> str:
        return str(
            page.title.get(page.site.default_locale) or next(iter(page.title.values()), "no title yet")
        )

    @admin.display(description="State")
    def state(self, page: Page) -> SafeString:
        if page.published is None:
            return badge("draft", "open")
        if page.published.content != content_of(page):
            return badge("published, with draft changes", "open")
        if page.go_live_at and page.go_live_at > timezone.now():
            return badge("scheduled", "open")
        return badge("published", "good")

    # -- the form -------------------------------------------------------------------------------

    def get_formset_kwargs(self, request: Any, obj: Any, inline: Any, prefix: str) -> dict[str, Any]:
        around = getattr(request, "around_page", None)
        if around is None:
            around = request.around_page = Surroundings(obj if obj and obj.pk else None)
        return {**super().get_formset_kwargs(request, obj, inline, prefix), "around": around}

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> Any:
        page = self.get_object(request, object_id)
        about: dict[str, Any] = {}
        if page is not None:
            problems = page_problems(page)
            errors = errors_among(problems)
            about = {"page_state": self.state(page), "page_errors": listed(errors) if errors else ""}
            warnings = [p for p in problems if p not in errors]
            about |= {
                "page_warnings": listed(warnings[:30]) if warnings else "",
                "warning_count": len(warnings),
            }
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **about})

    def render_change_form(
        self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any
    ) -> HttpResponse:
        if request.method == "POST" and not context.get("errors"):
            messages.error(request, "Not saved: correct the marked fields below.")
        response: HttpResponse = super().render_change_form(request, context, *args, **kwargs)
        return response

    # -- saving ---------------------------------------------------------------------------------

    def save_model(self, request: HttpRequest, obj: Page, form: Any, change: bool) -> None:
        obj.save()

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        """Let go of the old default first: there is never more than one."""
        leaving = [
            one.instance.pk
            for one in formset.forms
            if one.instance.pk and "is_default" in one.changed_data and not one.cleaned_data.get("is_default")
        ]
        if leaving:
            formset.model.objects.filter(pk__in=leaving).update(is_default=False)
        super().save_formset(request, form, formset, change)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        settle(form.instance)

    def response_add(self, request: HttpRequest, obj: Page, post_url_continue: Any = None) -> HttpResponse:
        response: HttpResponse = super().response_add(request, obj, post_url_continue)
        return response

    def response_change(self, request: HttpRequest, obj: Page) -> HttpResponse:
        run_submitted(self, request, obj)
        response: HttpResponse = super().response_change(request, obj)
        return response

    # -- publishing -----------------------------------------------------------------------------

    def has_publish_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm("cms.publish_page"))

    @submit_button("Save and publish", icon="publish")
    def publish(self, request: HttpRequest, obj: Page) -> None:
        """Let readers see what was just saved, if every check is passed."""
        try:
            revision = publish_page(obj, now=timezone.now(), author=request.user)
        except ContentError as error:
            say_refused(request, "Saved as a draft, but not published:", error.problems)
            return
        said = (
            f"{obj} is published as revision {revision.n}." if revision else f"{obj} was published already."
        )
        messages.success(request, said)

    @submit_button("Unpublish", icon="visibility_off")
    def unpublish(self, request: HttpRequest, obj: Page) -> None:
        """Take the page off the site at once."""
        unpublish_page(obj)
        messages.success(request, f"{obj} is off the site. The draft stays.")


@transaction.atomic
def settle(page: Page) -> None:
    """Number the rows of a page again in the order on the screen, the default last."""
    _number(page.templates.order_by("is_default", "position", "pk"))
    counts: dict[str, int] = {}
    for placement in page.placements.order_by("position", "pk"):
        counts[placement.slot] = counts.get(placement.slot, -1) + 1
        Placement.objects.filter(pk=placement.pk).update(position=counts[placement.slot])
        _number(placement.variants.order_by("is_default", "position", "pk"))


def _number(rows: Any) -> None:
    for position, row in enumerate(rows):
        if row.position != position:
            type(row).objects.filter(pk=row.pk).update(position=position)
