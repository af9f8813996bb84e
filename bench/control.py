"""Speaks to the sandbox's control API."""

import json
from urllib.request import Request, urlopen


def control(sandbox: str, what: str, body: dict[str, object]) -> None:
    request = Request(  # noqa: S310 - a loopback address of our own
        f"{sandbox}/_control/fitbox/{what}",
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urlopen(request, timeout=30) as answer:  # noqa: S310
        answer.read()
