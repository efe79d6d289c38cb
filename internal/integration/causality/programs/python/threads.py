"""A thread for each connection; calls by urllib3, parallel ones in a pool of threads."""
import http.server
import time
from concurrent.futures import ThreadPoolExecutor

import urllib3

from service import CALLS, CONCURRENCY, COUNT, LISTEN, POOLED, delay, request_id, url

manager = urllib3.PoolManager(maxsize=3 * CONCURRENCY)
executor = ThreadPoolExecutor(max_workers=32)
headers = {} if POOLED else {"Connection": "close"}


def call(path, k):
    return manager.request("GET", url(path, k), headers=headers | request_id(path), retries=False).data


def answers(path):
    if CALLS == "delayed":
        time.sleep(delay(path))
    if CALLS == "parallel":
        return list(executor.map(lambda k: call(path, k), range(COUNT)))
    return [call(path, k) for k in range(COUNT)]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # the head and the body in one write

    def do_GET(self):
        body = b",".join(answers(self.path))
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 2048


Server(("127.0.0.1", LISTEN), Handler).serve_forever()
