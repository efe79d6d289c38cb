"""What the services in Python have in common."""
import os

LISTEN = int(os.environ["LISTEN"])
BACKEND = "http://127.0.0.1:" + os.environ["BACKEND"]
POOLED = os.environ["STYLE"] == "pooled"
CALLS = os.environ["CALLS"]
CONCURRENCY = int(os.environ["CONCURRENCY"])
COUNT = 1 if CALLS in ("one", "delayed") else 3


def id_of(path):
    """The id of the request with the path /r/<id>."""
    return int(path.rsplit("/", 1)[1])


def request_id(path):
    """The header that is passed on, if there is one."""
    return {"X-Request-ID": f"causality-{id_of(path)}"} if "REQUEST_IDS" in os.environ else {}


def delay(path):
    """How many seconds to wait before the call."""
    return (1 + id_of(path) % 5) / 1000


def url(path, k):
    """The call with number k for the request with the path."""
    return f"{BACKEND}/c/{id_of(path)}/{k}"
