"""A web server of the standard library: server.py 127.0.0.1:8080"""
import http.server
import socket
import sys

import account


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # it writes head and body apart: each answer would wait for an acknowledgement

    def answer(self):
        self.read_body()
        status, size, chunked = account.wanted(self.path)
        account.report("server", self.command, self.path, status, self.request_version.removeprefix("HTTP/"),
                     self.connection.getsockname(), self.client_address)
        self.send_response(status)
        if status // 100 == 3:
            self.send_header("Location", "/elsewhere")
        if chunked:
            self.send_header("Transfer-Encoding", "chunked")
        elif status != 204:
            self.send_header("Content-Length", str(size))
        self.end_headers()
        if not account.has_body(self.command, status):
            return
        if chunked:
            for _ in range(2):
                self.wfile.write(b"%x\r\n%s\r\n" % (size // 2, b"x" * (size // 2)))
            self.wfile.write(b"0\r\n\r\n")
        else:
            self.wfile.write(b"x" * size)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = answer

    def read_body(self):
        if self.headers.get("Transfer-Encoding") == "chunked":
            while size := int(self.rfile.readline().split(b";")[0], 16):
                self.rfile.read(size)
                self.rfile.readline()
            while self.rfile.readline().strip():
                pass  # trailers
        else:
            self.rfile.read(int(self.headers.get("Content-Length", "0")))

    def log_message(self, *arguments):
        pass


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128
    address_family = socket.AF_INET6 if sys.argv[1].startswith("[") else socket.AF_INET

    def get_request(self):
        connection, peer = super().get_request()
        if context:  # the thread of the connection does the handshake, when it first reads
            connection = context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return connection, peer


context = account.server_context()
Server(account.split(sys.argv[1]), Handler).serve_forever()
