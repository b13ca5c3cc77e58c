"""Messages of journeys: write one in blocks and languages, look at it, try it, publish it."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.utils.translation import get_language, get_language_info, gettext_lazy
from django.utils.translation import gettext as _

from upsell import clock
from upsell.admin import template_previews
from upsell.admin.badges import badge
from upsell.admin.template_forms import KINDS, Letter, NewForm, languages_left
from upsell.engine.blocks import allowed_by
from upsell.engine.variables import PATTERNS, SINGLE
from upsell.models import MessageTemplate
from upsell.services import ready_messages, templates


@admin.register(MessageTemplate)
class MessageTemplateAdmin(admin.ModelAdmin):
    list_display = ("called", "medium", "languages", "standing", "changed_at")
    list_filter = ("medium",)
    list_select_related = ("version",)
    search_fields = ("name", "slug")
    search_help_text = gettext_lazy("Name or slug")
    list_per_page = 50
    actions = None
    change_list_template = "admin/upsell/messagetemplate/change_list.html"

    class Media:
        css = {"all": ["upsell/admin/admin.css"]}

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        return ("name", "pk")

    # ------------------------------------------------------------------ list

    @admin.display(description=gettext_lazy("message"), ordering="name")
    def called(self, row: MessageTemplate) -> str:
        return format_html('{}<span class="upsell-more">{}</span>', row.name, row.slug)

    @admin.display(description=gettext_lazy("languages"))
    def languages(self, row: MessageTemplate) -> str:
        return ", ".join(sorted(row.content)) or "–"

    @admin.display(description=gettext_lazy("standing"))
    def standing(self, row: MessageTemplate) -> str:
        return _standing(row)

    # ------------------------------------------------------------------ pages

    def get_urls(self) -> list[Any]:
        def page(name: str, view: Any, at: str) -> Any:
            return path(at, self.admin_site.admin_view(view), name=f"upsell_messagetemplate_{name}")

        return [
            page("changelist", self.changelist_view, ""),
            page("add", self.add, "add/"),
            page("ready", self.ready, "ready/"),
            page("change", self.write, "<int:pk>/change/"),
            page("preview", self.preview, "<int:pk>/preview/"),
            page("frame", self.frame, "<int:pk>/frame/"),
            page("test", self.test, "<int:pk>/test/"),
            page("publish", self.publish, "<int:pk>/publish/"),
            page("delete", self.remove, "<int:pk>/delete/"),
        ]

    def add(self, request: HttpRequest) -> HttpResponse:
        """Name a message, and choose what it starts from."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = NewForm(request.POST if request.method == "POST" else None)
        if form.is_valid():
            row = form.save(commit=False)
            if form.cleaned_data["start"]:
                ready_messages.copy(form.cleaned_data["start"], into=row)
            else:
                row.save()
            messages.success(request, _("The draft is there. Nobody is sent it yet."))
            return redirect("admin:upsell_messagetemplate_change", row.pk)
        return self._page(request, "add.html", _("Write a message"), None, form=form)

    def ready(self, request: HttpRequest) -> HttpResponse:
        """Show ready-made messages, and copy one."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        if request.method == "POST":
            try:
                row = ready_messages.copy(request.POST.get("copy", ""))
            except LookupError:
                messages.error(request, _("There is no such message."))
            else:
                messages.success(request, _("It is copied. Nobody is sent it yet."))
                return redirect("admin:upsell_messagetemplate_change", row.pk)
        return self._page(
            request,
            "ready.html",
            _("Ready-made messages"),
            None,
            ready=[(one, _first(one.content)) for one in ready_messages.READY],
        )

    def write(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Write one language, block by block."""
        row = self._row(request, pk, self.has_view_or_change_permission(request))
        if not self.has_change_permission(request, row):
            if request.method == "POST":
                raise PermissionDenied
            return redirect("admin:upsell_messagetemplate_preview", row.pk)
        language = _language(request, row)
        is_new = language not in row.content
        # A new language starts as the one that there is: translating is easier than laying out.
        stored = row.content.get(language) or row.content.get(row.default_language)
        letter = Letter(stored=stored)
        changed = False
        if request.method == "POST":
            letter = Letter(data=request.POST)
            if button := request.POST.get("block", ""):
                letter, changed = letter.changed_by(button), True
            elif "drop" in request.POST and self._dropped(request, row, language):
                return redirect("admin:upsell_messagetemplate_change", row.pk)
            elif "drop" not in request.POST and self._saved(row, language, letter):
                messages.success(request, _("The draft is saved."))
                return self._after(request, row, language)
        return self._page(
            request,
            "change.html",
            row.name,
            row,
            row=row,
            standing=_standing(row),
            language=language,
            language_name=_called(language),
            languages=[
                {
                    "name": _called(code),
                    "url": "?" + urlencode({"language": code}),
                    "is": code == language,
                    "default": code == row.default_language,
                }
                for code in sorted({*row.content, language, row.default_language})
            ],
            others=languages_left({**row.content, language: {}}),
            is_new=is_new,
            may_drop=not is_new and language != row.default_language,
            letter=letter,
            kinds=[
                (kind.value, KINDS[kind][0]) for kind in KINDS if kind in allowed_by(row.medium)
            ],
            is_sms=row.medium == MessageTemplate.Medium.SMS,
            changed=changed,
            names=SINGLE,
            patterns=PATTERNS,
            preview_url=reverse("admin:upsell_messagetemplate_preview", args=[row.pk])
            + "?"
            + urlencode({"language": language}),
            may_delete=self.has_delete_permission(request, row),
        )

    def _saved(self, row: MessageTemplate, language: str, letter: Letter) -> bool:
        if not letter.is_valid:
            return False
        values = letter.values()
        _made, faults = templates.checked(
            {language: values}, medium=row.medium, default_language=language
        )
        if faults:
            letter.refuse(faults)
            return False
        row.content = {**row.content, language: values}
        row.save(update_fields=["content", "changed_at"])
        return True

    def _dropped(self, request: HttpRequest, row: MessageTemplate, language: str) -> bool:
        if language == row.default_language or language not in row.content:
            messages.error(request, _("The default language stays."))
            return False
        row.content = {code: told for code, told in row.content.items() if code != language}
        row.save(update_fields=["content", "changed_at"])
        messages.success(request, _("The language is gone from the draft."))
        return True

    def _after(self, request: HttpRequest, row: MessageTemplate, language: str) -> HttpResponse:
        if "publish" in request.POST:
            return redirect("admin:upsell_messagetemplate_publish", row.pk)
        name = "preview" if "look" in request.POST else "change"
        answer = redirect(f"admin:upsell_messagetemplate_{name}", row.pk)
        answer["Location"] += "?" + urlencode({"language": language})
        return answer

    def preview(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Show it as a buyer gets it."""
        row = self._row(request, pk, self.has_view_or_change_permission(request))
        return template_previews.page(self, request, row)

    def frame(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Show the mail itself, where it can do nothing."""
        row = self._row(request, pk, self.has_view_or_change_permission(request))
        return template_previews.frame(request, row)

    def test(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Mail it to who is looking at it."""
        row = self._row(request, pk, self.has_change_permission(request))
        return template_previews.test(request, row)

    def publish(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Ask, with what is wrong or new; then publish."""
        row = self._row(request, pk, self.has_change_permission(request))
        _made, faults = templates.checked(
            row.content, medium=row.medium, default_language=row.default_language
        )
        problems = [templates.told(fault) for fault in faults]
        if request.method == "POST" and request.POST.get("confirmed") == "yes":
            try:
                version = templates.publish(row, user=request.user, now=clock.now())
            except ValidationError as error:
                problems = error.messages
            else:
                told = _("Version %d is published.") % version.number
                messages.success(request, told)
                return redirect("admin:upsell_messagetemplate_changelist")
        return self._page(
            request,
            "publish.html",
            _("Publish the message"),
            row,
            row=row,
            problems=problems,
            languages=[_called(code) for code in sorted(row.content)],
            is_same=row.version is not None and row.version.content == row.content,
        )

    def remove(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Delete one of which nobody was ever sent a version."""
        row = self._row(request, pk, self.has_delete_permission(request))
        if request.method == "POST" and request.POST.get("confirmed") == "yes":
            if templates.is_kept(row):
                messages.error(request, _("Buyers were sent it: it stays, with what was sent."))
            else:
                row.delete()
                messages.success(request, _("The message is gone."))
            return redirect("admin:upsell_messagetemplate_changelist")
        return self._page(
            request,
            "delete.html",
            _("Delete the message"),
            row,
            row=row,
            is_kept=templates.is_kept(row),
        )

    # ------------------------------------------------------------------ shared

    def _row(self, request: HttpRequest, pk: int, allowed: bool) -> MessageTemplate:
        # The right is asked for before the row: who may see nothing is told the same of every key.
        if not allowed:
            raise PermissionDenied
        rows: QuerySet[Any] = self.get_queryset(request).select_related("version")
        row: MessageTemplate = get_object_or_404(rows, pk=pk)
        return row

    def _page(
        self,
        request: HttpRequest,
        name: str,
        title: str,
        original: MessageTemplate | None,
        **context: Any,
    ) -> HttpResponse:
        shared = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "media": self.media,
            "title": title,
            "original": original,
        }
        return TemplateResponse(request, f"admin/upsell/messagetemplate/{name}", shared | context)


def _standing(row: MessageTemplate) -> SafeString:
    if row.version is None:
        return badge("off", _("draft"))
    told = _("published, version %d") % row.version.number
    if row.version.content == row.content:
        return badge("live", told)
    words = _("The draft has changed since.")
    return format_html('{}<span class="upsell-more">{}</span>', badge("live", told), words)


def _language(request: HttpRequest, row: MessageTemplate) -> str:
    """Return the language that is asked for: one that it speaks, or one of the site's."""
    asked = request.GET.get("language", "")
    known = {*row.content, *(code for code, _name in languages_left({}))}
    return asked if asked in known else row.default_language


def _called(code: str) -> str:
    """Return a language by its name."""
    try:
        return str(get_language_info(code)["name_translated"])
    except KeyError:
        return code


def _first(content: Any) -> str:
    """Return the subject of a ready-made message, in the reader's language where it has it."""
    language = (get_language() or "en").partition("-")[0]
    code = language if language in content else "en"
    return str(content[code]["subject"])
