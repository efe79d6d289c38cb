"""What the services in Python have in common."""
import os

LISTEN = int(os.environ["LISTEN"])
BACKEND = "http://127.0.0.1:" + os.environ["BACKEND"]
POOLED = os.environ["STYLE"] == "pooled"
CALLS = os.environ["CALLS"]
CONCURRENCY = int(os.environ["CONCURRENCY"])
COUNT = 1 if CALLS == "one" else 3


def url(path, k):
    """The call with number k for the request with the path /r/<id>."""
    return f"{BACKEND}/c/{path.rsplit('/', 1)[1]}/{k}"
