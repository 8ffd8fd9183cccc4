"""Blocks: first the type, then a typed form of its fields; saving adds a revision, publishing shows it to readers."""

from typing import Any

from django.contrib import admin, messages
from django.db import transaction
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.safestring import SafeString

from cms.admin.base import SiteAdmin, submit_button
from cms.admin.notes import badge, say_refused, when
from cms.admin.revisions import revisions_view
from cms.content import checked, known_to, revert_block, save_block
from cms.errors import ContentError
from cms.fields import parse_fields
from cms.forms import SiteForm, TypedFields, show_problems
from cms.models import Block, BlockRevision, BlockType
from cms.models.site import current_site
from cms.publishing import publish_block, unpublish_block


class BlockForm(SiteForm):
    """The key, and the fields of the type; `typed` and `type` are set by the admin for each form."""

    typed: TypedFields
    type: BlockType

    class Meta:
        model = Block
        fields = ("key",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        block = kwargs.get("instance")
        shown = self.typed.initial(block.data if block else {})
        kwargs["initial"] = shown | (kwargs.get("initial") or {})
        super().__init__(*args, **kwargs)
        if self.instance.pk is None:
            self.instance.type = self.type

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        self.typed_data = self.typed.data(cleaned, self.instance.data or {})
        if self.errors:
            self._check_the_rest()
        else:
            self._rehearse()
        return cleaned

    def _check_the_rest(self) -> None:
        """Show what else is wrong, so that nobody finds it one error at a time."""
        try:
            checked(self.instance, self.typed_data, known=known_to(self.instance.site))
        except ContentError as error:
            told = set(self.errors)
            rest = [p for p in error.problems if self.typed.place(p.pointer) not in told]
            show_problems(self, rest, self.typed.place)

    def _rehearse(self) -> None:
        """Save and take it back, so that everything that forbids it is shown at its field."""
        before, adding = self.instance.data, self.instance._state.adding
        if "key" in self.cleaned_data:
            self.instance.key = self.cleaned_data["key"]
            if Block.objects.filter(site=self.instance.site, key=self.instance.key).exists():
                return  # the form itself says so
        try:
            with transaction.atomic():
                save_block(self.instance, self.typed_data, now=timezone.now())
                transaction.set_rollback(True)
        except ContentError as error:
            show_problems(self, error.problems, self.typed.place)
        self.instance.data, self.instance._state.adding = before, adding
        if adding:
            self.instance.pk = None


@admin.register(Block)
class BlockAdmin(SiteAdmin):
    form = BlockForm
    list_display = ("key", "type", "state", "updated_at", "owner")
    list_filter = ("type",)
    list_select_related = ("type", "published", "owner")
    search_fields = ("key", "type__title")
    readonly_fields = ("state", "used_on")
    actions_submit_line = ("publish", "unpublish")
    change_form_before_template = "admin/cms/block/above.html"

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Block]":
        newest = BlockRevision.objects.filter(block=OuterRef("pk")).order_by("-n").values("pk")[:1]
        rows: QuerySet[Block] = super().get_queryset(request).annotate(newest=Subquery(newest))
        return rows.select_related("type", "site", "published")

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> Any:
        """Offer only the types that the field takes, where a field asks."""
        if types := request.GET.get("types"):
            queryset = queryset.filter(type__key__in=types.split(","))
        return super().get_search_results(request, queryset, search_term)

    def get_urls(self) -> list[URLPattern]:
        revisions = self.admin_site.admin_view(self.revisions_view)
        mine = [path("<int:object_id>/revisions/", revisions, name="cms_block_revisions")]
        return mine + list(super().get_urls())

    def revisions_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def revert(block: Block, to: BlockRevision) -> None:
            revert_block(block, to=to, now=timezone.now(), author=request.user)

        return revisions_view(self, request, object_id, revert)

    # -- the typed form -------------------------------------------------------------------------

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        if self._chosen_type(request) is None:
            return self._choose_type(request)
        return super().add_view(request, form_url, extra_context)  # type: ignore[no-any-return]  # unfold has no types

    def _chosen_type(self, request: HttpRequest) -> BlockType | None:
        return BlockType.objects.filter(site=current_site(), key=request.GET.get("type", "")).first()

    def _choose_type(self, request: HttpRequest) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "What kind of block?",
            "types": BlockType.objects.filter(site=current_site()),
            "query": request.GET,
            "media": self.media,
        }
        return TemplateResponse(request, "admin/cms/block/choose_type.html", context)

    def _type_of(self, request: HttpRequest, obj: Block | None) -> BlockType:
        return obj.type if obj is not None else self._chosen_type(request) or BlockType.objects.all()[0]

    def _typed(self, request: HttpRequest, obj: Block | None) -> TypedFields:
        fields, _ = parse_fields(self._type_of(request, obj).fields)
        return TypedFields(fields, current_site())

    def get_form(
        self, request: HttpRequest, obj: Block | None = None, change: bool = False, **kwargs: Any
    ) -> Any:
        typed = self._typed(request, obj)
        members = {"typed": typed, "type": self._type_of(request, obj), **typed.form_fields()}
        form: Any = type("TypedBlockForm", (BlockForm,), members)
        return super().get_form(request, obj, change, form=form, **kwargs)

    def get_fieldsets(self, request: HttpRequest, obj: Block | None = None) -> Any:
        about = ("key", "state", "used_on") if obj else ("key",)
        title = self._type_of(request, obj).title
        return ((None, {"fields": (about,)}), (title, {"fields": self._typed(request, obj).rows()}))

    def save_model(self, request: HttpRequest, obj: Block, form: Any, change: bool) -> None:
        if not change:
            obj.owner = request.user  # type: ignore[assignment]  # the admin asks for a login
        save_block(obj, form.typed_data, now=timezone.now(), author=request.user)

    # -- states, publishing ---------------------------------------------------------------------

    @admin.display(description="State")
    def state(self, block: Any) -> SafeString:
        if block.type.catalogue:
            return badge("live", "good") if block.live else badge("not live")
        if block.published_id is None:
            return badge("draft", "open")
        if block.published_id != getattr(block, "newest", block.published_id):
            return badge("published, with draft changes", "open")
        return badge("published", "good")

    @admin.display(description="Used on")
    def used_on(self, block: Block) -> str:
        pages = block.variants.values_list("placement__page__path", flat=True).distinct()
        inside = block.used_by.values_list("source__key", flat=True)
        return ", ".join([*pages, *(f"in {key}" for key in inside)]) or "nothing yet"

    def has_publish_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm("cms.publish_block"))

    @submit_button("Save and publish", icon="publish")
    def publish(self, request: HttpRequest, obj: Block) -> None:
        """Let readers see what was just saved."""
        try:
            changed = publish_block(obj, now=timezone.now(), author=request.user)
        except ContentError as error:
            say_refused(request, "Saved, but not published:", error.problems)
            return
        messages.success(request, f"{obj} is published." if changed else f"{obj} was published already.")

    @submit_button("Unpublish", icon="visibility_off")
    def unpublish(self, request: HttpRequest, obj: Block) -> None:
        """Take it off every page."""
        try:
            unpublish_block(obj, now=timezone.now(), author=request.user)
        except ContentError as error:
            say_refused(request, "Not unpublished:", error.problems)
            return
        messages.success(request, f"{obj} is off the site. The draft stays.")

    def response_change(self, request: HttpRequest, obj: Block) -> HttpResponse:
        run_submitted(self, request, obj)
        response: HttpResponse = super().response_change(request, obj)
        return response

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> Any:
        block = self.get_object(request, object_id)
        newest = block.revisions.first() if block else None
        said = f"Revision {newest.n}, {when(newest.created_at)}" if newest else "No revision"
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), "newest": said})


def run_submitted(model_admin: Any, request: HttpRequest, obj: Any) -> None:
    """Run the action whose button in the submit line was pressed, if this person may."""
    for one in model_admin.get_actions_submit_line(request, obj.pk):
        if one.action_name in request.POST:
            one.method(request, obj)
