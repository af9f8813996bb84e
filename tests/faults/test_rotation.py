"""Keys of the credentials are changed while syncs run: row E7 of the catalogue of faults."""

import base64
from pathlib import Path

import pytest

from tests.faults import moments
from tests.faults.killing import callboard

NEW_KEY = base64.urlsafe_b64encode(b"another key of a test, 32 bytes.").decode()


@pytest.mark.req("BY-23")
def test_keys_are_rotated_while_syncs_run(demo_database: str, tmp_path: Path) -> None:
    """No sync fails, neither one that was about to read its key nor one that had it; then the old key can go."""
    with callboard(demo_database, tmp_path) as killing:
        house = killing.house
        old_key = house.environment["CREDENTIAL_KEYS"]
        house.environment["CREDENTIAL_KEYS"] = f"{NEW_KEY},{old_key}"
        worker = killing.start_worker()

        killing.stop_at(moments.CLAIMED)
        [sealed] = house.query("SELECT credentials FROM integrations_connection")
        rotated = house.manage("rotate_credentials")
        assert (rotated.returncode, "1 re-encrypted" in rotated.stdout) == (0, True), rotated.stdout + rotated.stderr
        assert house.query("SELECT credentials FROM integrations_connection") != [sealed]
        killing.go_on()
        assert house.wait_for(house.ended, "the sync that reads its key after the rotation")["result"] == "success"

        house.environment["CREDENTIAL_KEYS"] = f"{old_key},{NEW_KEY}"
        before = house.last_run()["id"]
        killing.stop_at(moments.READING[0])
        assert "1 re-encrypted" in house.manage("rotate_credentials").stdout
        killing.go_on()
        run = house.wait_for(lambda: house.ended(after=before), "the sync that read its key before the rotation")
        assert run["result"] == "success"

        house.kill(worker)
        house.environment["CREDENTIAL_KEYS"] = old_key
        killing.start_worker()
        assert house.sync()["result"] == "success"
        assert house.rows() == killing.provided()
