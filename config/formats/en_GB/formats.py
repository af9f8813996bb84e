"""How the admin writes days and times: by the 24-hour clock, as the timetable does. Django's own formats for the rest."""

TIME_FORMAT = "H:i"
DATETIME_FORMAT = "j M Y, H:i"
SHORT_DATETIME_FORMAT = "d/m/Y H:i"
