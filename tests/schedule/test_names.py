"""Incoming names: any spelling of a known one is the gym's own, an unknown one stays text."""

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schedule.models import ClassType, Organization, Person, Place
from schedule.names import Named, NamedType, Names, tidy
from tests.schedule.making import gym


def names(organization: Organization, *, coaches: Iterable[str] = (), **values: Any) -> Names:
    for name in coaches:
        Person.objects.create(organization=organization, **{"name": name, "is_coach": True, **values})
    return Names.of(organization)


def kind(organization: Organization, name: str, *synonyms: str, minutes: int = 60) -> ClassType:
    return ClassType.objects.create(
        organization=organization, name=name, synonyms=list(synonyms), default_minutes=minutes
    )


@pytest.mark.django_db
@pytest.mark.req("TT-06")
@pytest.mark.parametrize(
    "text", ["Open Gym", "open-gym", " OPEN  GYM ", "open_gym", "OpenGym", "Free Training", "free training"]
)
def test_any_spelling_and_any_synonym_is_the_gyms_class_type(text: str) -> None:
    organization = gym()
    known = kind(organization, "Open Gym", "Free Training", minutes=90)
    assert names(organization).class_type(text) == NamedType(known.pk, "Open Gym", 90)


@pytest.mark.django_db
@pytest.mark.req("TT-06")
def test_an_unknown_class_type_stays_as_text() -> None:
    organization = gym()
    kind(organization, "Open Gym", "", "--")
    found = names(organization)
    assert found.class_type("  Aqua   Zumba® ") == NamedType(None, "Aqua Zumba®", 60)
    assert found.class_type("!!!") == NamedType(None, "!!!", 60)


@pytest.mark.django_db
@pytest.mark.req("TT-06")
@pytest.mark.parametrize("first", ["own name", "synonym"])
def test_a_types_own_name_wins_over_anothers_synonym(first: str) -> None:
    organization = gym()
    if first == "synonym":
        kind(organization, "Boxing", "HIIT")
    known = kind(organization, "HIIT")
    if first == "own name":
        kind(organization, "Zumba", "HIIT")
    assert names(organization).class_type("hiit").id == known.pk


@pytest.mark.django_db
@pytest.mark.req("TT-06")
@pytest.mark.parametrize("text", ["Zoë Marsh", "zoë marsh", " ZOË \t MARSH", "Zoë\u00a0Marsh", "Zoe\u0308 Marsh"])
def test_a_coachs_name_leaves_in_the_gyms_spelling(text: str) -> None:
    found = names(gym(), coaches=["Zoë Marsh"]).coach(text)
    assert found == Named(Person.objects.get().pk, "Zoë Marsh")


@pytest.mark.django_db
@pytest.mark.req("TT-06")
def test_an_unknown_coach_stays_as_text_and_a_shared_name_means_nobody() -> None:
    found = names(gym(), coaches=["Sam Reed", "SAM  REED", "Alex Moore"])
    assert found.coach("  Kim  Novak ") == Named(None, "Kim Novak")
    assert found.coach("sam reed").id is None
    assert found.coach("alex moore").name == "Alex Moore"


@pytest.mark.django_db
@pytest.mark.parametrize("values", [{"is_active": False}, {"is_coach": False}])
def test_only_active_coaches_are_known(values: dict[str, bool]) -> None:
    assert names(gym(), coaches=["Sam Reed"], **values).coach("Sam Reed") == Named(None, "Sam Reed")


@pytest.mark.django_db
def test_places_are_known_by_their_names_too() -> None:
    organization = gym()
    place = Place.objects.create(organization=organization, name="Riverside")
    assert names(organization).place(" RIVERSIDE") == Named(place.pk, "Riverside")


@pytest.mark.req("TT-06")
@given(st.text())
def test_a_tidy_text_has_single_spaces_and_stays_as_it_is(text: str) -> None:
    clean = tidy(text)
    assert clean == " ".join(clean.split(" "))
    assert clean.strip() == clean
    assert tidy(clean) == clean


@pytest.mark.req("TT-06")
@given(
    st.lists(st.text("abcXYZ", min_size=1), min_size=1), st.sampled_from([" ", "-", "_", "  ", "", "."]), st.booleans()
)
def test_case_and_what_stands_between_words_make_no_other_class_type(
    words: list[str], between: str, upper: bool
) -> None:
    spelled = between.join(words)
    assert ClassType.key(spelled.upper() if upper else spelled.lower()) == ClassType.key(" ".join(words))
