"""What incoming names mean at this gym: class types by any of their names, coaches and places by theirs.

A name that is found leaves in the gym's own spelling; one that is not stays text, tidied, and is shown as such.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from unicodedata import normalize

from schedule.models import ClassType, Organization, Person, Place

DEFAULT_MINUTES = 60


@dataclass(frozen=True, slots=True)
class Named:
    """A name and the row that it stands for; `id` is None for one that the gym does not know."""

    id: int | None
    name: str


@dataclass(frozen=True, slots=True)
class NamedType:
    id: int | None
    name: str
    default_minutes: int


@dataclass(frozen=True, slots=True)
class Names:
    class_types: Mapping[str, NamedType]
    coaches: Mapping[str, Named]
    places: Mapping[str, Named]

    @classmethod
    def of(cls, organization: Organization) -> "Names":
        """Read the gym's lists, in three queries."""
        people = Person.objects.filter(organization=organization, is_coach=True, is_active=True)
        places = Place.objects.filter(organization=organization)
        return cls(
            _class_types(ClassType.objects.filter(organization=organization)),
            _named(people.values_list("pk", "name")),
            _named(places.values_list("pk", "name")),
        )

    def class_type(self, text: str) -> NamedType:
        return self.class_types.get(ClassType.key(text)) or NamedType(None, tidy(text), DEFAULT_MINUTES)

    def coach(self, text: str) -> Named:
        return self.coaches.get(person_key(text)) or Named(None, tidy(text))

    def place(self, text: str) -> Named:
        return self.places.get(person_key(text)) or Named(None, tidy(text))


def tidy(text: str) -> str:
    """Return `text` without spaces around it, one between words, and letters in one form of Unicode."""
    return " ".join(normalize("NFC", text).split())


def person_key(name: str) -> str:
    """Return the form under which names of people and places are compared: case and spaces make no difference."""
    return tidy(name).casefold()


def _class_types(kinds: Iterable[ClassType]) -> dict[str, NamedType]:
    """Return the types by the keys of their names. A type's own name wins over another one's synonym."""
    found: dict[str, NamedType] = {}
    listed = [(kind, NamedType(kind.pk, kind.name, kind.default_minutes)) for kind in kinds]
    for names_of in _OWN_NAME_FIRST:
        for kind, named in listed:
            for name in names_of(kind):
                if key := ClassType.key(name):
                    found.setdefault(key, named)
    return found


_OWN_NAME_FIRST: tuple[Callable[[ClassType], list[str]], ...] = (
    lambda kind: [kind.name],
    lambda kind: [str(name) for name in kind.synonyms],
)


def _named(rows: Iterable[tuple[int, str]]) -> dict[str, Named]:
    """Return the rows by their keys; a name that two of them share means neither."""
    found: dict[str, Named] = {}
    for pk, name in rows:
        key = person_key(name)
        found[key] = Named(pk, name) if key not in found else Named(None, name)
    return found
