"""A web client that never waits within TLS: nonblocking.py 127.0.0.1:8080 4 < plan, over 4 connections that are kept alive. It writes in pieces, with
empty writes between them, and reads little at a time.

The plan is that of client.py.
"""
import itertools
import select
import socket
import ssl
import sys

import account


class Connection:
    def __init__(self):
        self.tls = account.client_context().wrap_socket(
            socket.create_connection(account.split(sys.argv[1])), do_handshake_on_connect=False)
        self.tls.setblocking(False)
        self.retry(self.tls.do_handshake)
        self.data = b""

    def retry(self, call, *arguments):
        while True:
            try:
                return call(*arguments)
            except ssl.SSLWantReadError:
                select.select([self.tls], [], [])
            except ssl.SSLWantWriteError:
                select.select([], [self.tls], [])

    def write(self, data):
        size = 7
        while data:
            self.retry(self.tls.send, b"")
            data = data[self.retry(self.tls.send, data[:size]):]
            size *= 4

    def fill(self, enough):
        while not enough():
            more = self.retry(self.tls.recv, 1000)
            if not more:
                sys.exit("the connection has ended")
            self.data += more

    def ask(self, line):
        method, target, size, framing, traceparent = line.split()
        head = f"{method} {target} HTTP/1.1\r\nHost: {sys.argv[1]}\r\n"
        if traceparent != "-":
            head += f"traceparent: {traceparent}\r\n"
        body = b"0" * int(size)
        if body and framing == "chunked":
            head += "Transfer-Encoding: chunked\r\n"
            body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
        elif body:
            head += f"Content-Length: {size}\r\n"
        self.write(f"{head}\r\n".encode() + body)
        self.fill(lambda: b"\r\n\r\n" in self.data)
        head, _, self.data = self.data.partition(b"\r\n\r\n")
        line, *fields = head.decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, value in (f.split(":", 1) for f in fields)}
        status = int(line.split()[1])
        if not account.has_body(method, status):
            pass
        elif headers.get("transfer-encoding") == "chunked":
            while True:
                self.fill(lambda: b"\r\n" in self.data)
                size, _, self.data = self.data.partition(b"\r\n")
                size = int(size, 16)
                self.fill(lambda: len(self.data) >= size + 2)
                self.data = self.data[size + 2:]
                if not size:
                    break
        else:
            size = int(headers["content-length"])
            self.fill(lambda: len(self.data) >= size)
            self.data = self.data[size:]
        account.report("client", method, target, status, "1.1", self.tls.getsockname(), self.tls.getpeername())


connections = itertools.cycle([Connection() for _ in range(int(sys.argv[2]))])
for line in sys.stdin:
    next(connections).ask(line)
