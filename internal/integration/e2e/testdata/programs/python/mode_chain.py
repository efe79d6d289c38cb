"""A web server that asks another one while it serves a request: mode_chain.py 127.0.0.1:8080 127.0.0.1:8081

It answers with the status that the other one answers with, of a target that begins with /behind.
"""
import http.client
import http.server
import sys

import account


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        behind = http.client.HTTPConnection(*account.split(sys.argv[2]), timeout=60)
        behind.request("GET", "/behind" + self.path)
        response = behind.getresponse()
        response.read()
        behind.close()
        self.send_response(response.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments):
        pass


http.server.ThreadingHTTPServer(account.split(sys.argv[1]), Handler).serve_forever()
