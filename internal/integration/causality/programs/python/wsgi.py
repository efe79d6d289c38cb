"""An application for gunicorn; calls by requests, each thread with a session of its own, parallel ones in a pool of threads."""
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import requests

from service import CALLS, COUNT, POOLED, delay, url

local = threading.local()
executor = ThreadPoolExecutor(max_workers=32)  # starts its threads when they are needed: after the fork


def call(path, k):
    if not POOLED:
        return requests.get(url(path, k), headers={"Connection": "close"}).content
    if not hasattr(local, "session"):
        local.session = requests.Session()
    return local.session.get(url(path, k)).content


def application(environ, start_response):
    path = environ["PATH_INFO"]
    if CALLS == "delayed":
        time.sleep(delay(path))
    if CALLS == "parallel":
        answers = list(executor.map(lambda k: call(path, k), range(COUNT)))
    else:
        answers = [call(path, k) for k in range(COUNT)]
    body = b",".join(answers)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
