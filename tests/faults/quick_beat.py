"""Celery's real beat with our schedule, which ticks every second instead of every 15, so that a test sees many ticks."""

import os
import sys

import django


def main() -> None:
    django.setup()
    from config.celery import app

    app.conf.beat_schedule["tick"]["schedule"] = 1.0
    app.start(argv=sys.argv[sys.argv.index("beat") :])


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    main()
