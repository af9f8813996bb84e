"""The queue in files: nobody reads half a message, and an unreadable one ends no worker."""

import logging
import subprocess
import sys
import threading
from pathlib import Path
from queue import Empty
from typing import Any

import pytest
from kombu import Connection

from config.environment import ROOT

OURS = "config.queue_files:Transport"
MESSAGES = 3_000
PUT = f"""
import sys
from kombu import Connection
folder, transport = sys.argv[1:]
options = dict(data_folder_in=folder, data_folder_out=folder, control_folder=folder + "/control")
channel = Connection("filesystem://", transport=transport, transport_options=options).channel()
for number in range({MESSAGES}):
    while channel._size("default") > 2:
        pass  # a reader that keeps up looks more often
    channel._put("default", {{"number": number, "body": list(range(300))}})
"""


def channel_in(folder: Path, transport: str = OURS) -> Any:
    (folder / "control").mkdir(exist_ok=True)
    options = {"data_folder_in": str(folder), "data_folder_out": str(folder), "control_folder": str(folder / "control")}
    return Connection("filesystem://", transport=transport, transport_options=options).channel()


@pytest.fixture
def channel(tmp_path: Path) -> Any:
    return channel_in(tmp_path)


def got_while_another_process_puts(folder: Path, transport: str) -> list[int]:
    channel = channel_in(folder, transport)
    with subprocess.Popen([sys.executable, "-c", PUT, str(folder), transport], cwd=ROOT) as putting:
        got: list[int] = []
        try:
            while True:
                ended = putting.poll() is not None  # before the look: what was put until now is seen by it
                try:
                    got.append(channel._get("default")["number"])
                except Empty:
                    if ended:
                        return got
        finally:
            putting.kill()


def test_a_reader_gets_every_message_whole_while_another_process_writes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    got = got_while_another_process_puts(tmp_path, OURS)
    assert sorted(got) == list(range(MESSAGES))
    assert caplog.records == []


@pytest.mark.parametrize("content", [b"", b'{"body": "aGVs', b"\xff\xfe"])
def test_an_unreadable_message_is_left_out_and_logged(
    channel: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes
) -> None:
    # Before any other: names begin with the milliseconds since the machine started, and are read in the order of text.
    (tmp_path / "0_first.default.msg").write_bytes(content)
    channel._put("default", {"number": 1})
    with caplog.at_level(logging.WARNING):
        assert channel._get("default") == {"number": 1}
    assert [record.name for record in caplog.records] == ["config.queue_files"]
    with pytest.raises(Empty):
        channel._get("default")


def test_what_a_killed_writer_left_is_no_message(channel: Any, tmp_path: Path) -> None:
    (tmp_path / ".1_first.default.msg.part").write_bytes(b'{"bo')
    assert channel._size("default") == channel._purge("default") == 0
    with pytest.raises(Empty):
        channel._get("default")


def test_queues_are_counted_and_emptied_one_by_one(channel: Any) -> None:
    for queue in ("default", "default", "other"):
        channel._put(queue, {})
    assert channel._size("default") == 2
    assert channel._purge("default") == 2
    assert channel._size("other") == 1


def test_bindings_made_at_once_are_all_kept(tmp_path: Path) -> None:
    channels = [channel_in(tmp_path) for _ in range(8)]

    def bind(position: int) -> None:
        for number in range(20):
            channels[position]._queue_bind("direct", "key", "", f"queue-{position}-{number}")
            assert channels[position].get_table("direct")

    threads = [threading.Thread(target=bind, args=(position,)) for position in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    table = channels[0].get_table("direct")
    assert {queue for _, _, queue in table} == {f"queue-{a}-{b}" for a in range(8) for b in range(20)}
    assert len(table) == 160


def test_a_deleted_queue_leaves_the_table_and_takes_its_messages_along(channel: Any) -> None:
    for queue in ("default", "other"):
        channel._queue_bind("direct", "key", "", queue)
        channel._put(queue, {})
    channel._delete("other", "direct", "key", "")
    assert channel.get_table("direct") == [("key", "", "default")]
    assert (channel._size("default"), channel._size("other")) == (1, 0)


def test_an_empty_table_is_bound_anew(channel: Any, tmp_path: Path) -> None:
    (tmp_path / "control" / "direct.exchange").write_bytes(b"")
    assert channel.get_table("direct") == []
    channel._queue_bind("direct", "key", "", "default")
    assert channel.get_table("direct") == [("key", "", "default")]
