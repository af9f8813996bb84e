"""The embedded mode's queue: kombu's folder of files, in which a file has its name only once it is whole.

The stock transport opens a file under its final name and fills it afterwards. A reader that looks in between takes an
empty message, and the error ends the worker. Here every file is written under a name that no reader asks for, and then
renamed. What is unreadable all the same, after a loss of power, is left out: messages are hints, the database knows
what is due.
"""

import fcntl
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from kombu.exceptions import ChannelError
from kombu.transport import filesystem, virtual
from kombu.utils.json import dumps

logger = logging.getLogger(__name__)
Binding = filesystem.exchange_queue_t


class Channel(filesystem.Channel):
    # kombu's own two layers name the message differently; it is passed by position.
    def _put(self, queue: str, payload: Any, **_: Any) -> None:  # type: ignore[override]
        # Readers take messages in the order of their names.
        name = f"{round(time.monotonic() * 1000)}_{uuid4()}.{queue}.msg"
        write_whole(Path(self.data_folder_out) / name, dumps(payload))

    def _get(self, queue: str, timeout: float | None = None) -> Any:
        while True:
            try:
                return super()._get(queue)
            except ValueError as error:  # no JSON, no UTF-8; its file is gone already, so this loop ends
                logger.warning("A message of the queue %s was unreadable and left out: %s", queue, error)

    def get_table(self, exchange: str) -> list[Any]:
        try:
            return list(super().get_table(exchange))
        except ValueError as error:
            logger.warning("The table of the exchange %r was unreadable and counts as empty: %s", exchange, error)
            return []

    def _queue_bind(self, exchange: str, routing_key: str, pattern: str | None, queue: str) -> None:
        binding = Binding(routing_key or "", pattern or "", queue or "")
        self._change_table(exchange, lambda table: table if binding in table else [binding, *table])

    def _delete(self, queue: str, exchange: str, routing_key: str, pattern: str, *args: Any, **named: Any) -> None:
        # Past the stock transport, which rewrites the table in place.
        virtual.Channel._delete(self, queue, exchange, routing_key, pattern, *args, **named)
        binding = Binding(routing_key or "", pattern or "", queue or "")
        self._change_table(exchange, lambda table: [each for each in table if each != binding])

    def _change_table(self, exchange: str, change: Callable[[list[Any]], list[Any]]) -> None:
        with locked(self.control_folder):
            before = self.get_table(exchange)  # refuses a name that leads out of the folder
            after = change(before)
            if after != before:
                write_whole(self.control_folder / f"{exchange}.exchange", dumps(after))


class Transport(filesystem.Transport):
    Channel = Channel


def write_whole(path: Path, text: str) -> None:
    """Write a file that nobody can see half of. Raises ChannelError."""
    draft = path.with_name(f".{path.name}.part")
    try:
        draft.write_text(text, encoding="utf-8")
        os.replace(draft, path)
    except OSError as error:
        raise ChannelError(f"Cannot write {path}") from error


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock for changes in a folder: one on a file that is replaced would go with it. Raises ChannelError."""
    try:
        folder.mkdir(exist_ok=True)
        lock = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise ChannelError(f"Cannot lock {folder}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)
