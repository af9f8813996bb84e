"""The manual timetable as staff edit it. What is saved shows with the next request: rows are written with the form.

Everything here belongs to the gym of this installation, so no form asks for the organization.
"""

from datetime import date
from typing import TYPE_CHECKING, Any
from zoneinfo import available_timezones

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import Q, QuerySet, URLField
from django.http import HttpRequest
from django.utils import timezone

from schedule import cms, store
from schedule.models import ClassType, Closure, Event, Organization, Person, Place, SpecialEvent, WeeklySlot

if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin[Any]
    _ClassTypeForm = forms.ModelForm[ClassType]
    _WeeklySlotForm = forms.ModelForm[WeeklySlot]
else:
    _ModelAdmin = admin.ModelAdmin
    _ClassTypeForm = _WeeklySlotForm = forms.ModelForm

MANUAL = "manual"


# An address without a scheme means https.
FIELDS: dict[Any, Any] = {URLField: {"assume_scheme": "https"}}


class GymAdmin(_ModelAdmin):
    """Something of this installation's gym. Saving and deleting bring the dated rows in line, in the same transaction."""

    exclude = ["organization"]
    formfield_overrides = FIELDS

    def has_add_permission(self, request: HttpRequest) -> bool:
        # Before there is a gym there is nothing to add to.
        return super().has_add_permission(request) and Organization.objects.filter(is_installation=True).exists()

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).filter(organization__is_installation=True)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        """Return the form with the gym in its instance, so that rules of uniqueness within the gym are checked."""
        form = super().get_form(request, obj, change=change, **kwargs)

        class GymForm(form):  # type: ignore[misc, valid-type]  # made anew for each request
            def __init__(self, *args: Any, **options: Any) -> None:
                super().__init__(*args, **options)
                if self.instance.organization_id is None:
                    self.instance.organization = Organization.installation()

            def _get_validation_exclusions(self) -> set[str]:
                return set(super()._get_validation_exclusions()) - {"organization"}

        return GymForm

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Offer the gym's own people, places and class types; of people, those who coach."""
        related = db_field.remote_field.model
        if related in (Person, Place, ClassType):
            choices = related.objects.filter(organization__is_installation=True)
            kwargs.setdefault("queryset", choices.filter(is_coach=True) if related is Person else choices)
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        self.publish(request)

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        super().delete_model(request, obj)
        self.publish(request)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        super().delete_queryset(request, queryset)
        self.publish(request)

    def publish(self, request: HttpRequest) -> None:
        """Bring what members see in line with what was saved."""
        cms.refresh(Organization.installation(), now=timezone.now(), cause=_cause(request))
        # Names, colours and the time of the last edit show on pages whose rows stayed the same.
        store.bump_publication()


class KeptWhileUsed(GymAdmin):
    """What classes on the timetable name is not deleted: rows would point to nothing when they are computed again."""

    event_field: str

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        to_delete, counts, missing, protected = super().get_deleted_objects(objs, request)
        named = Event.objects.filter(**{f"{self.event_field}__in": [item.pk for item in objs]}).count()
        if named:
            protected = [*protected, f"{named} class{'es' if named > 1 else ''} of the timetable"]
        return to_delete, counts, missing, protected


class SynonymsField(forms.CharField):
    """A list of names as one line, separated by commas."""

    def prepare_value(self, value: Any) -> Any:
        return ", ".join(map(str, value)) if isinstance(value, list) else value

    def clean(self, value: Any) -> Any:
        return list(dict.fromkeys(name.strip() for name in super().clean(value).split(",") if name.strip()))


class ClassTypeForm(_ClassTypeForm):
    synonyms = SynonymsField(
        required=False,
        max_length=1000,
        help_text="Other names that booking systems use for it, separated by commas: WOD, Cross Fit",
        widget=forms.TextInput(attrs={"class": "vTextField"}),
    )

    class Meta:
        model = ClassType
        fields = ["name", "colour", "default_minutes", "synonyms"]
        widgets = {"colour": forms.TextInput(attrs={"type": "color"})}


@admin.register(ClassType)
class ClassTypeAdmin(KeptWhileUsed):
    form = ClassTypeForm
    event_field = "class_type"
    list_display = ["name", "default_minutes", "colour"]
    search_fields = ["name"]


@admin.register(Place)
class PlaceAdmin(KeptWhileUsed):
    event_field = "place"
    list_display = ["name", "address"]
    search_fields = ["name"]


@admin.register(Person)
class PersonAdmin(KeptWhileUsed):
    event_field = "instructor"
    list_display = ["name", "is_coach", "is_active"]
    list_filter = ["is_coach", "is_active"]
    search_fields = ["name"]


class WeeklySlotForm(_WeeklySlotForm):
    class Meta:
        model = WeeklySlot
        fields = [
            "weekday", "start_time", "duration_minutes", "class_type", "coach", "place", "room", "level", "capacity",
            "notes", "is_active", "valid_from", "valid_until",
        ]  # fmt: skip

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if not self.errors and cleaned.get("is_active") and (twin := self._twin(cleaned)) is not None:
            place = f" at {twin.place}" if twin.place else ""
            room = f", {twin.room}" if twin.room else ""
            raise ValidationError(
                f"This slot exists already: {twin}{place}{room}. Change that one, or choose another time, place or room."
            )
        return cleaned

    def _twin(self, cleaned: dict[str, Any]) -> WeeklySlot | None:
        """Return an active slot of the same day, time, type, place and room whose days meet this one's."""
        same = {name: cleaned[name] for name in ("weekday", "start_time", "class_type", "place")}
        until = cleaned.get("valid_until") or date.max
        begins = cleaned.get("valid_from") or date.min
        twins = WeeklySlot.objects.filter(**same, room__iexact=cleaned["room"], is_active=True)
        twins = twins.filter(organization=self.instance.organization).exclude(pk=self.instance.pk)
        twins = twins.filter(Q(valid_from=None) | Q(valid_from__lte=until))
        return twins.filter(Q(valid_until=None) | Q(valid_until__gte=begins)).first()


@admin.register(WeeklySlot)
class WeeklySlotAdmin(GymAdmin):
    form = WeeklySlotForm
    list_display = ["day", "start_time", "class_type", "coached_by", "where", "capacity", "is_active"]
    list_display_links = ["day", "start_time"]
    list_filter = ["weekday", "class_type", "coach", "is_active"]
    list_select_related = ["class_type", "coach", "place"]
    search_fields = ["class_type__name", "coach__name", "notes"]
    readonly_fields = ["last_updated"]
    save_as = True
    fieldsets = [
        (None, {"fields": ["weekday", "start_time", "duration_minutes", "class_type", "coach", "capacity"]}),
        (None, {"fields": ["notes", "is_active"]}),
        ("Where", {"fields": ["place", "room", "level"]}),
        ("From when to when", {"fields": ["valid_from", "valid_until"], "description": "Empty: always."}),
        (None, {"fields": ["last_updated"]}),
    ]  # fmt: skip

    @admin.display(description="day", ordering="weekday")
    def day(self, slot: WeeklySlot) -> str:
        return str(slot.get_weekday_display())

    @admin.display(description="coach", ordering="coach__name")
    def coached_by(self, slot: WeeklySlot) -> str:
        """Return the coach as text, which breaks into lines; the admin never breaks a link to another row."""
        return str(slot.coach or "")

    @admin.display(description="where", ordering="place__name")
    def where(self, slot: WeeklySlot) -> str:
        return ", ".join(filter(None, (str(slot.place or ""), slot.room)))


@admin.register(SpecialEvent)
class SpecialEventAdmin(GymAdmin):
    list_display = ["title", "date", "start_time", "coach", "place", "is_active"]
    list_select_related = ["coach", "place"]
    list_filter = ["is_active"]
    date_hierarchy = "date"
    search_fields = ["title"]


@admin.register(Closure)
class ClosureAdmin(GymAdmin):
    """Closed days. Those that a provider keeps are shown, and changed at the provider."""

    list_display = ["name", "first_on", "last_on", "kept_by"]
    date_hierarchy = "first_on"

    @admin.display(description="kept by")
    def kept_by(self, closure: Closure) -> str:
        return "staff" if closure.source == MANUAL else closure.source.capitalize()

    def has_change_permission(self, request: HttpRequest, obj: Closure | None = None) -> bool:
        return super().has_change_permission(request, obj) and (obj is None or obj.source == MANUAL)

    def has_delete_permission(self, request: HttpRequest, obj: Closure | None = None) -> bool:
        return super().has_delete_permission(request, obj) and (obj is None or obj.source == MANUAL)

    def save_model(self, request: HttpRequest, obj: Closure, form: Any, change: bool) -> None:
        before = Closure.objects.filter(pk=obj.pk).first()
        super().save_model(request, obj, form, change)
        for closure in filter(None, (before, obj)):
            _reconsider(request, closure)

    def delete_model(self, request: HttpRequest, obj: Closure) -> None:
        super().delete_model(request, obj)
        _reconsider(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Closure]) -> None:
        gone = list(queryset.filter(source=MANUAL))
        super().delete_queryset(request, queryset.filter(source=MANUAL))
        for closure in gone:
            _reconsider(request, closure)


@admin.register(Organization)
class OrganizationAdmin(_ModelAdmin):
    """The gym itself. Another one is begun by `start_gym`, not here."""

    list_display = ["name", "timezone"]
    fields = ["name", "timezone", "email", "phone", "website"]
    formfield_overrides = FIELDS

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "timezone":
            zones = [(name, name) for name in sorted(available_timezones())]
            return forms.ChoiceField(
                choices=zones, label="Time zone", help_text="All classes are at this zone's wall clock."
            )
        return super().formfield_for_dbfield(db_field, request, **kwargs)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Organization]:
        return super().get_queryset(request).filter(is_installation=True)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Organization | None = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Organization, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        cms.refresh(obj, now=timezone.now(), cause=_cause(request))
        store.bump_publication()


@admin.register(Event)
class EventAdmin(_ModelAdmin):
    """Every row of the event table, to look at: sources write them, nobody else."""

    list_display = ["title", "starts_at", "source", "status", "instructor_name", "location", "is_gone"]
    list_filter = ["source", "status", "starts_at"]
    search_fields = ["title", "instructor_name", "external_id", "uid"]
    date_hierarchy = "starts_at"
    show_full_result_count = False
    fields = [
        "title", "starts_at", "ends_at", "timezone", "status", "status_reason", "class_type_name", "instructor_name",
        "location", "room", "level", "capacity", "booked", "waitlist", "description", "source", "connection",
        "external_id", "uid", "sequence", "revision", "revised_at", "deleted_at",
    ]  # fmt: skip

    @admin.display(description="removed", boolean=True)
    def is_gone(self, event: Event) -> bool:
        return event.deleted_at is not None

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Event | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Event | None = None) -> bool:
        return False


def _reconsider(request: HttpRequest, closure: Closure) -> None:
    store.reconsider(closure.first_on, closure.last_on, cause=_cause(request), now=timezone.now())


def _cause(request: HttpRequest) -> str:
    return f"user:{request.user.pk}"
