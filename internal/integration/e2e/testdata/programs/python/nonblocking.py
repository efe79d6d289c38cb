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
import asking


class Connection:
    def __init__(self):
        self.tls = account.client_context().wrap_socket(
            socket.create_connection(account.split(sys.argv[1])), do_handshake_on_connect=False)
        self.tls.setblocking(False)
        self.retry(self.tls.do_handshake)
        self.responses = asking.Responses(self.read)

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

    def read(self):
        return self.retry(self.tls.recv, 1000)

    def ask(self, line):
        method, data = asking.request(line, sys.argv[1])
        self.write(data)
        status = self.responses.take(method)
        account.report("client", method, line.split()[1], status, "1.1", self.tls.getsockname(), self.tls.getpeername())


connections = itertools.cycle([Connection() for _ in range(int(sys.argv[2]))])
for line in sys.stdin:
    next(connections).ask(line)
