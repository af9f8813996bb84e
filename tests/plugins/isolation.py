"""Each test process has its own data folder and key prefix, set before the settings read the environment.

pytest-xdist names its workers in the environment before they load plugins, so this module's import is early enough. The
controller and its workers are processes of their own; each removes the folder that it made. Databases are kept apart by
pytest-django, which adds the worker's name to theirs.
"""

import atexit
import os
import shutil
import tempfile

# Sockets of ours must not go through a proxy, and the network door must be free to reach loopback servers.
os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1,localhost"
# Playwright keeps an event loop running beside its synchronous calls; Django would refuse the ORM next to it.
os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "true")

worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
# `tests.services` removes what holds its token from servers that others use too.
token = os.environ.get("CALLBOARD_TEST_TOKEN", "alone")
data_dir = tempfile.mkdtemp(prefix=f"callboard-test-{token}-{worker}-")
atexit.register(shutil.rmtree, data_dir, ignore_errors=True)
os.environ["CALLBOARD_DATA_DIR"] = data_dir
# The folder's name is unique on this machine, so two runs at once on one Redis never meet.
os.environ["CALLBOARD_KEY_PREFIX"] = os.path.basename(data_dir)
# A developer's own shell must not decide what the tests see.
for name in (
    "CALLBOARD_MODE",
    "SECRET_KEY",
    "CREDENTIAL_KEYS",
    "BASE_URL",
    "PORT",
    "SANDBOX_PORT",
    "FITBOX_API_URL",
    "FITBOX_API_KEY",
):
    os.environ.pop(name, None)
