"""The staff pages' forms."""

from dataclasses import asdict
from datetime import datetime
from typing import Any

from django import forms
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError

from schedule.models.people import validate_zone
from sync import controls, sources
from sync.controls import CMS, Controls

EXPLANATIONS = {
    "cms": "Our staff keep the weekly timetable here in the admin.",
    "fitbox": "Classes come from Fitbox by themselves; the manual timetable stands in when Fitbox fails.",
}


class SourceForm(forms.Form):
    """The choice of what members see."""

    data_source = forms.ChoiceField(
        widget=forms.RadioSelect,
        error_messages={
            "required": "Choose one of the sources.",
            "invalid_choice": "That is not a source of the timetable. Choose one of those listed.",
        },
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["data_source"].choices = list(sources.names().items())  # type: ignore[attr-defined]


class ControlsForm(forms.Form):
    """Interval, limits and stand-ins. Fields of the connection are there only while there is one."""

    is_enabled = forms.BooleanField(label="Sync by itself", required=False)
    interval_minutes = forms.IntegerField(
        label="Update interval", min_value=5, max_value=60, help_text="Minutes, 5 to 60."
    )
    timeout_seconds = forms.IntegerField(
        label="Time limit", min_value=1, max_value=30, help_text="Seconds that one call may take, 1 to 30."
    )
    retries = forms.IntegerField(min_value=0, max_value=5, help_text="Tries after a call that failed, 0 to 5.")
    stale_limit_minutes = forms.IntegerField(
        label="Stale limit",
        min_value=20,
        max_value=1440,
        help_text="Minutes for which a saved copy is shown while the booking system does not answer; then the next "
        f"stand-in is. At least the interval and {controls.STALE_MARGIN_MINUTES} minutes more.",
    )
    show_cancelled = forms.BooleanField(
        label="Show cancelled classes",
        required=False,
        help_text="Off: they vanish from page, API and feed instead of staying struck through.",
    )

    def __init__(self, *args: Any, standing: controls.Standing, **kwargs: Any) -> None:
        self.standing = standing
        kwargs["initial"] = asdict(standing.controls)
        kwargs["label_suffix"] = ""
        super().__init__(*args, **kwargs)
        if standing.connection is None:
            for name in controls.OF_CONNECTION:
                del self.fields[name]
        self._add_stand_ins()

    def _add_stand_ins(self) -> None:
        """Add one field for each place in the order of stand-ins; CMS is the last and needs none, nor does the chosen source."""
        others = [(name, words) for name, words in sources.names().items() if name not in (CMS, self.standing.chosen)]
        order = [name for name in self.standing.controls.fallback_order if name not in (CMS, self.standing.chosen)]
        for place in range(len(others)):
            self.fields[f"stand_in_{place}"] = forms.ChoiceField(
                label="Stand-in" if len(others) == 1 else f"Stand-in {place + 1}",
                choices=[("", "none"), *others],
                required=False,
                initial=order[place] if place < len(order) else "",
                help_text="Shown when the chosen source fails. The manual timetable always comes last."
                if place == 0
                else "",
            )

    @property
    def stand_ins(self) -> list[str]:
        return [name for name in self.fields if name.startswith("stand_in_")]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        chosen = [cleaned[name] for name in self.stand_ins if cleaned.get(name)]
        if len(set(chosen)) < len(chosen):
            self.add_error(self.stand_ins[-1], "Each source can stand in only once.")
        return cleaned

    def wanted(self) -> Controls:
        """Return the settings that the valid form asks for."""
        values = {name: self.cleaned_data[name] for name in controls.NAMES if name in self.cleaned_data}
        order = [self.cleaned_data[name] for name in self.stand_ins if self.cleaned_data[name]]
        # The chosen one was not asked about: should another be chosen, it stands in as before.
        order += [name for name in self.standing.controls.fallback_order if name == self.standing.chosen]
        return Controls(**{**asdict(self.standing.controls), **values, "fallback_order": (*order, CMS)})

    def save(self, *, user: AbstractBaseUser, now: datetime) -> bool:
        """Save and return whether that went well; otherwise the form has the reasons at its fields."""
        try:
            controls.save(self.wanted(), user=user, now=now)
        except ValidationError as error:
            self.add_error(None, error)
            return False
        return True


class StartGymForm(forms.Form):
    """The gym that takes the demo's place, and its first login."""

    name = forms.CharField(label="Name of the gym", max_length=200)
    zone = forms.CharField(
        label="Time zone",
        max_length=64,
        validators=[validate_zone],
        help_text="IANA name, e.g. Australia/Melbourne.",
        widget=forms.TextInput(attrs={"list": "zones", "autocomplete": "off"}),
    )
    email = forms.EmailField(label="E-mail of the gym")
    username = forms.CharField(
        label="User name",
        max_length=150,
        validators=[get_user_model().username_validator],
    )
    password = forms.CharField(widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}), strip=False)
    again = forms.CharField(
        label="Password, again", widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}), strip=False
    )

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if "password" in cleaned:
            self._check_password(cleaned)
        if "password" in cleaned and "again" in cleaned and cleaned["password"] != cleaned["again"]:
            self.add_error("again", "The two passwords differ.")
        return cleaned

    def _check_password(self, cleaned: dict[str, Any]) -> None:
        user = get_user_model()(username=cleaned.get("username", ""), email=cleaned.get("email", ""))
        try:
            validate_password(cleaned["password"], user)
        except ValidationError as error:
            self.add_error("password", error)
