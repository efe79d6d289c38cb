"""A web client that does TLS by GnuTLS, on pairs of connections: within.py 127.0.0.1:8080 4 < plan, with TLS_WAY=within. The functions that GnuTLS calls
to send and to receive for the one do a request on the other, and send the next one on the same.

The plan is that of client.py.
"""
import socket
import sys

import account
import asking


class Connection:
    def __init__(self):
        self.tls = context.wrap_socket(socket.create_connection(account.split(sys.argv[1])))
        self.responses = asking.Responses(lambda: self.tls.recv(65536))

    def send(self, line):
        self.tls.sendall(asking.request(line, sys.argv[1])[1])

    def receive(self, line):
        method, target = line.split()[:2]
        status = self.responses.take(method)
        account.report("client", method, target, status, "1.1", self.tls.getsockname(), self.tls.getpeername())


def ask(one, other, lines, deep):
    """Four requests, two on each. The third is sent within the call that receives the response to the first, or within one more."""
    first, second, third, fourth = lines

    def answer():
        other.tls.before_pull = (lambda: one.send(third)) if deep else None
        other.receive(second)
        other.send(fourth)
        if not deep:
            one.send(third)

    one.tls.before_push = lambda: other.send(second)
    one.send(first)
    one.tls.before_pull = answer
    one.receive(first)
    one.receive(third)
    other.receive(fourth)


context = account.client_context()
pairs = [(Connection(), Connection()) for _ in range(int(sys.argv[2]))]
plan = list(sys.stdin)
for i in range(len(plan) // 4):
    ask(*pairs[i % len(pairs)], plan[4 * i:4 * i + 4], deep=i % 2)
