"""A client that sends what it is given, right or wrong: raw.py 127.0.0.1 8080 < plan

Each line of the plan is a JSON string, whose characters are bytes. Each is sent on a connection of its own, of which nothing more is sent
until the server ends it, or has been silent for a moment. One JSON line says what came back: the status, 0 if there was none.
"""
import json
import os
import socket
import sys

PATIENCE = 0.5  # seconds

host, port = sys.argv[1], int(sys.argv[2])
for line in sys.stdin:
    with socket.create_connection((host, port)) as connection:
        connection.sendall(json.loads(line).encode("latin-1"))
        connection.settimeout(PATIENCE)
        answer = b""
        try:
            while piece := connection.recv(65536):
                answer += piece
        except (TimeoutError, ConnectionResetError):
            pass
        words = answer.split(b" ", 2)
        status = int(words[1][:3]) if answer.startswith(b"HTTP/1.") else 0
        print(json.dumps({"port": connection.getsockname()[1], "status": status}), flush=True)
