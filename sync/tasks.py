"""Celery's part: hear the clock, hand out what the database says is due, and call one function each. Tasks take ids."""

import logging

from celery import shared_task
from django.utils import timezone

from integrations import adapters
from schedule import cms, timetable
from schedule.models import Organization
from sync import ingest, leases

logger = logging.getLogger(__name__)

MESSAGE_LIFE_SECONDS = 60
"""An old message is worth nothing: the next tick sends a new one as long as the work is due."""


@shared_task
def tick() -> None:
    """Queue what is due in the database. Runs every 15 seconds; twice or late does no harm."""
    now = timezone.now()
    for connection_id in leases.due(now, list(adapters.PROVIDERS)):
        enqueue(connection_id)
    if cms_is_due():
        expand_cms.apply_async(expires=MESSAGE_LIFE_SECONDS)


@shared_task
def run_sync(connection_id: int) -> None:
    """Do one connection's due work; leaves at once when another worker has it."""
    ingest.run(connection_id)


@shared_task
def expand_cms() -> None:
    """Write the dated rows of the manual timetable for the rolling eight weeks; nothing when they stand already."""
    cms.refresh(Organization.installation(), now=timezone.now(), cause="nightly")


def enqueue(connection_id: int) -> None:
    """Send the message that a connection is due. When the broker is down the next tick sends it again."""
    try:
        run_sync.apply_async((connection_id,), expires=MESSAGE_LIFE_SECONDS)
    except (run_sync.OperationalError, OSError) as error:
        logger.warning("the broker does not take messages (%s); the next tick asks again", type(error).__name__)


def cms_is_due() -> bool:
    """Whether the manual timetable's dated rows end before the horizon of today."""
    organization = Organization.objects.filter(is_installation=True).first()
    if organization is None:
        return False
    _, last = timetable.horizon(timetable.local_today(timezone.now(), organization.zone))
    return not cms.reaches(last)
