"""The only door to the network: pooled sessions, time and body limits, retries, rate limit, breaker, guarded addresses.

`client` decides (what a status means, what is tried again and when), `flights` shares equal reads, `wire` has the sockets
and is the only importer of requests and urllib3.
"""

from integrations.http.client import Answer, Client, Limits

__all__ = ["Answer", "Client", "Limits"]
