"""A gRPC server and a client upon the C core: calls.py server|client 127.0.0.1:8080 < plan

Each line of the plan is the size of a request, and that of its response, in bytes. All calls are made on one channel, one after the
other. Each end writes a JSON line for each.
"""
import json
import os
import sys
import threading
from concurrent import futures

import grpc

PATH = "/socketflow.e2e.Sizes/Call"
ANY_SIZE = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


def report(role):
    line = {"pid": os.getpid(), "role": role, "method": "POST", "target": PATH, "rpc_status": 0, "version": "2"}
    os.write(1, (json.dumps(line) + "\n").encode())


class Sizes(grpc.GenericRpcHandler):
    def service(self, details):
        return grpc.unary_unary_rpc_method_handler(self.call)  # bytes are messages

    def call(self, request, context):
        report("server")
        return b"r" * int.from_bytes(request[:8], "big")


role, address = sys.argv[1:]
if role == "server":
    server = grpc.server(futures.ThreadPoolExecutor(2), options=ANY_SIZE)
    server.add_generic_rpc_handlers([Sizes()])
    assert server.add_insecure_port(address)
    server.start()
    threading.Event().wait()
with grpc.insecure_channel(address, options=ANY_SIZE) as channel:
    call = channel.unary_unary(PATH)
    for line in sys.stdin:
        size, wanted = map(int, line.split())
        response = call(wanted.to_bytes(8, "big").ljust(size, b"q"), timeout=60)
        assert len(response) == wanted
        report("client")
