"""Which staff may see and change the data source; page and API ask the same."""

from typing import Any

CHANGE = "schedule.change_timetablesettings"
VIEW = "schedule.view_timetablesettings"


def may_change_source(user: Any) -> bool:
    return bool(user.is_active and user.is_staff and user.has_perm(CHANGE))


def may_see_source(user: Any) -> bool:
    return may_change_source(user) or bool(user.is_active and user.is_staff and user.has_perm(VIEW))
