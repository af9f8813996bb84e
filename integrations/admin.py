"""Connections as staff edit them: the key goes in and never comes out, and a test answers in words before saving.

`sync.admin` registers the connections, for what follows from a change (a run that is due, rows that go) lives above.
"""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST

from integrations import adapters, credentials, keys
from integrations.adapters.base import Verification
from integrations.credentials import DamagedCredential
from integrations.models import Connection, CredentialUse

if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin[Any]
    _ModelForm = forms.ModelForm[Connection]
else:
    _ModelAdmin = admin.ModelAdmin
    _ModelForm = forms.ModelForm


class ConnectionForm(_ModelForm):
    provider = forms.ChoiceField()
    profile = forms.ChoiceField(required=False, label="Form of the API")
    key = forms.CharField(
        required=False,
        max_length=500,
        widget=forms.PasswordInput(render_value=False, attrs={"autocomplete": "new-password", "class": "vTextField"}),
    )

    class Meta:
        model = Connection
        fields = [
            "provider",
            "name",
            "base_url",
            "profile",
            "is_enabled",
            "timeout_seconds",
            "retries",
            "calls_per_minute",
        ]
        # The words of the page of the data source, where most of these stand too.
        labels = {"is_enabled": "Sync by itself", "timeout_seconds": "Time limit", "retries": "Retries"}
        help_texts = {
            "base_url": "Where the booking system is asked, e.g. https://api.example.com.",
            "timeout_seconds": "Seconds that one call may take, 1 to 30.",
            "retries": "Tries after a call that failed, 0 to 5.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "provider" not in self.fields:  # shown to those who may only look
            return
        choices = {name: provider.display_name for name, provider in adapters.PROVIDERS.items()}
        profiles = {
            name: words for provider in adapters.PROVIDERS.values() for name, words in provider.profiles.items()
        }
        self.fields["provider"].choices = choices.items()  # type: ignore[attr-defined]  # a ChoiceField
        self.fields["profile"].choices = profiles.items()  # type: ignore[attr-defined]  # a ChoiceField
        # Rows are known by their provider: another one is another connection.
        self.fields["provider"].disabled = self.instance.pk is not None
        self.fields["key"].help_text = self._about_key()
        if "base_url" in self.fields and _is_set_up("base_url"):
            self.fields[
                "base_url"
            ].help_text += " Leave empty to use the one that was set when Callboard was installed."

    def _about_key(self) -> str:
        if self.instance.credentials:
            return f"{keys.described(self.instance)} Leave empty to keep it as it is."
        if _is_set_up(keys.KEY):
            return "No key is stored. Leave empty to use the one that was set when Callboard was installed."
        return keys.described(self.instance)

    def clean_key(self) -> str:
        key = str(self.cleaned_data.get("key") or "")
        # The header that carries it takes visible ASCII only; anything else came with copy and paste.
        if not all("!" <= character <= "~" for character in key):
            raise forms.ValidationError("A key has no spaces, line breaks or accents. Copy it again.")
        return key

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        self._require_what_is_missing(cleaned)
        address, key = cleaned.get("base_url", ""), cleaned.get("key", "")
        moved = address != (
            Connection.objects.filter(pk=self.instance.pk).values_list("base_url", flat=True).first() or ""
        )
        if address and moved and not key and "key" not in self.errors:
            # Else whoever may change the address could have the stored key sent to a server of their own.
            self.add_error(
                "key", "Enter the key together with the new address: a key is only sent where it was meant for."
            )
        return cleaned

    def _require_what_is_missing(self, cleaned: Mapping[str, Any]) -> None:
        provider = adapters.PROVIDERS.get(cleaned.get("provider", ""))
        if provider is None:
            return
        has_key = cleaned.get("key") or self.instance.credentials
        missing = adapters.missing(provider, cleaned.get("base_url", ""), [keys.KEY] if has_key else [])
        if "base_url" in missing and "base_url" not in self.errors:
            self.add_error(
                "base_url", f"Enter the address at which {provider.display_name} is asked; none is known here."
            )
        if keys.KEY in missing and "key" not in self.errors:
            self.add_error("key", f"Enter the key that {provider.display_name} gave you; none is stored.")

    @property
    def has_new_key(self) -> bool:
        return bool(self.cleaned_data.get("key"))


def _is_set_up(name: str) -> bool:
    """Whether the environment has the address or the key for some provider that is offered."""
    return any(name not in adapters.missing(provider, "", []) for provider in adapters.PROVIDERS.values())


@method_decorator(sensitive_post_parameters("key"), name="changeform_view")
class ConnectionAdmin(_ModelAdmin):
    form = ConnectionForm
    change_form_template = "admin/integrations/connection/change_form.html"
    list_display = ["name", "provider_name", "is_enabled", "status", "interval_minutes"]
    readonly_fields = ["status", "status_text", "stored_key"]
    fieldsets = [
        (None, {"fields": ["provider", "name", "base_url", "profile", "key", "stored_key"]}),
        ("Sync", {"fields": ["is_enabled", "status", "status_text"]}),
        ("Limits", {"fields": ["timeout_seconds", "retries", "calls_per_minute"]}),
    ]

    def get_fieldsets(self, request: HttpRequest, obj: Connection | None = None) -> Any:
        """Show the key's field to those who may change it, what may be seen of it to the others, and nothing empty."""
        hidden = {"stored_key" if self._may_edit(request, obj) else "key"}
        hidden |= set() if obj else {"status"}
        hidden |= set() if obj and obj.status_text else {"status_text"}
        return [
            (title, {**options, "fields": [name for name in options["fields"] if name not in hidden]})
            for title, options in super().get_fieldsets(request, obj)
        ]

    def get_form(self, request: HttpRequest, obj: Connection | None = None, change: bool = False, **kwargs: Any) -> Any:
        # The key is no column, so the factory must not look for one.
        kwargs["fields"] = [name for name in ConnectionForm.Meta.fields if self._may_edit(request, obj)]
        return super().get_form(request, obj, change=change, **kwargs)

    def _may_edit(self, request: HttpRequest, obj: Connection | None) -> bool:
        return self.has_change_permission(request, obj) if obj else self.has_add_permission(request)

    def get_actions(self, request: HttpRequest) -> Any:
        """Offer no deletion of many: each takes its classes off the timetable."""
        return {name: action for name, action in super().get_actions(request).items() if name != "delete_selected"}

    @admin.display(description="provider", ordering="provider")
    def provider_name(self, connection: Connection) -> str:
        return adapters.display_name(connection.provider)

    @admin.display(description="key")
    def stored_key(self, connection: Connection) -> str:
        return keys.described(connection)

    def save_model(self, request: HttpRequest, obj: Connection, form: ConnectionForm, change: bool) -> None:
        if form.has_new_key:
            keys.enter(obj, form.cleaned_data["key"])
        super().save_model(request, obj, form, change)
        if form.has_new_key:
            purpose = "key entered in the admin"
        elif change and form.changed_data:
            purpose = f"changed: {', '.join(form.changed_data)}"
        else:
            return
        credentials.record_use(obj, "change", actor=_actor(request), purpose=purpose[:200])

    # --- the test

    def get_urls(self) -> list[URLPattern]:
        tests = [
            path("test/", self.admin_site.admin_view(self.test_new), name="integrations_connection_test_new"),
            path("<int:number>/test/", self.admin_site.admin_view(self.test), name="integrations_connection_test"),
        ]
        return [*tests, *super().get_urls()]

    def test_new(self, request: HttpRequest) -> HttpResponse:
        return self._test(request, None)

    def test(self, request: HttpRequest, number: int) -> HttpResponse:
        return self._test(request, Connection.objects.filter(pk=number).first())

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> Any:
        shown: Connection | None = context.get("original")
        new = reverse("admin:integrations_connection_test_new")
        context["test_address"] = reverse("admin:integrations_connection_test", args=[shown.pk]) if shown else new
        context["may_test"] = self._may_edit(request, shown)
        return super().render_change_form(request, context, *args, **kwargs)

    @method_decorator(require_POST)
    @method_decorator(sensitive_post_parameters("key"))
    def _test(self, request: HttpRequest, connection: Connection | None) -> HttpResponse:
        """Try what the form says, unsaved, and answer in words: as JSON to a script, as a page otherwise."""
        if not self._may_edit(request, connection):
            raise PermissionDenied
        form = ConnectionForm(request.POST, instance=connection)
        found = try_form(form, actor=_actor(request))
        status = 200 if found else 400
        said = found or Verification(False, _faults(form))
        if request.accepts("text/html"):
            context = self.admin_site.each_context(request) | {"title": "Test connection", "said": said}
            return TemplateResponse(request, "admin/integrations/connection/test.html", context, status=status)
        return JsonResponse({"ok": said.ok, "text": said.text}, status=status)


NEEDED = ("provider", "base_url", "profile", "key")


def try_form(form: ConnectionForm, *, actor: str) -> Verification | None:
    """Try the address and the key of a form, the stored key if none was entered; None when the form cannot be tried."""
    form.is_valid()
    if any(name in form.errors for name in NEEDED):
        return None
    said = form.cleaned_data
    stored = Connection.objects.filter(pk=form.instance.pk).first()
    CredentialUse.objects.create(
        connection=stored,
        connection_name=stored.name if stored else str(said.get("name", ""))[:100],
        action="test",
        actor=actor,
        purpose="tested before saving",
        at=timezone.now(),
    )
    secrets: Mapping[str, str] = {keys.KEY: said["key"]} if said["key"] else {}
    try:
        if stored and not secrets:
            secrets = credentials.read(stored, actor=actor, purpose="test")
    except DamagedCredential:
        return Verification(False, "The stored key cannot be read any more. Enter it again.")
    return adapters.try_source(said["provider"], said["base_url"], said["profile"], secrets)


def _faults(form: ConnectionForm) -> str:
    reasons: Mapping[str, list[dict[str, str]]] = json.loads(form.errors.as_json())
    first = next(name for name in NEEDED if name in reasons)
    label = form.fields[first].label or first.replace("_", " ").capitalize()
    return f"{label}: {reasons[first][0]['message']}"


def _actor(request: HttpRequest) -> str:
    return f"user:{request.user.pk}"


@admin.register(CredentialUse)
class CredentialUseAdmin(_ModelAdmin):
    """The audit; nobody edits it."""

    list_display = ["at", "action", "connection_name", "actor", "purpose"]
    list_filter = ["action", "at"]
    search_fields = ["connection_name", "actor"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: CredentialUse | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: CredentialUse | None = None) -> bool:
        return False
