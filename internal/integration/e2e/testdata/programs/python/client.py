"""A web client of the standard library: client.py 127.0.0.1:8080 4 < plan, over 4 connections that are kept alive.

The plan has a request a line: its method, target, size of the body, how that is framed, and the traceparent, or "-".
"""
import http.client
import os
import queue
import sys
import threading

import account


def ask(connection, line):
    method, target, size, framing, traceparent = line.split()
    size = int(size)
    headers = {} if traceparent == "-" else {"traceparent": traceparent}
    if os.environ.get("TLS_WAY") == "half":
        headers["Connection"] = "close"
    body = None
    if size and framing == "chunked":
        headers["Transfer-Encoding"] = "chunked"
        body = iter([b"0" * (size // 2), b"0" * (size - size // 2)])
    elif size:
        body = b"0" * size
    if connection.sock is None:
        connection.connect()
    local, peer = connection.sock.getsockname(), connection.sock.getpeername()
    connection.request(method, target, body, headers, encode_chunked=framing == "chunked")
    response = connection.getresponse()
    response.read()
    version = {10: "1.0", 11: "1.1"}[response.version]
    account.report("client", method, target, response.status, version, local, peer)
    if "Connection" in headers:
        connection.close()


def converse():
    address = account.split(sys.argv[1])
    context = account.client_context()
    if context:
        connection = http.client.HTTPSConnection(*address, timeout=60, context=context)
    else:
        connection = http.client.HTTPConnection(*address, timeout=60)
    while line := plan.get():
        try:
            ask(connection, line)
        except Exception as e:
            print(line, e, file=sys.stderr)
            os._exit(1)
    connection.close()


plan = queue.Queue(maxsize=100)
threads = [threading.Thread(target=converse) for _ in range(int(sys.argv[2]))]
for thread in threads:
    thread.start()
for line in sys.stdin:
    plan.put(line)
for _ in threads:
    plan.put("")
for thread in threads:
    thread.join()
