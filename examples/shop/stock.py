"""The stock: GET /stock/<number> answers how many are left; from Redis, or else from PostgreSQL, if there is one."""
import http.server
import os
import re
import threading

from clients import Postgres, Redis

POSTGRES_PORT = os.environ.get("POSTGRES_PORT")
QUERY = "select quantity from stock where number = %d"
connections = threading.local()  # a thread serves one connection, and has connections of its own


def left(number):
    if not hasattr(connections, "redis"):
        connections.redis = Redis(int(os.environ["REDIS_PORT"]))
    redis, key = connections.redis, f"stock:{number}"
    quantity = redis.call("GET", key)
    if quantity is None:
        quantity = from_database(number)
        redis.call("SET", key, quantity, "EX", "600")
    return quantity


def from_database(number):
    if not POSTGRES_PORT:
        return "1"
    if not hasattr(connections, "postgres"):
        connections.postgres = Postgres(int(POSTGRES_PORT))
    rows = connections.postgres.query(QUERY % number)
    return rows[0][0] if rows else "0"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one write

    def do_GET(self):
        path = re.fullmatch(r"/stock/(\d+)", self.path)
        body = left(int(path[1])).encode() if path else b""
        self.send_response(200 if path else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
