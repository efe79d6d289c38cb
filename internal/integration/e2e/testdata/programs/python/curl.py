"""A web client of libcurl, which Debian's Python has with GnuTLS: curl.py 127.0.0.1:8080 4 < plan, over 4 connections in turn.

The plan is that of client.py.
"""
import io
import itertools
import os
import sys

import pycurl

import account

versions = {pycurl.CURL_HTTP_VERSION_1_1: "1.1", 3: "2"}  # CURL_HTTP_VERSION_2


def ask(curl, line):
    method, target, size, framing, traceparent = line.split()
    size = int(size)
    headers = ["Expect:"]
    if traceparent != "-":
        headers.append("traceparent: " + traceparent)
    if size and framing == "chunked":
        headers.append("Transfer-Encoding: chunked")
    scheme = "https" if "TLS_CERTIFICATE" in os.environ else "http"
    curl.reset()  # of the options; the connection stays
    curl.setopt(pycurl.URL, f"{scheme}://{sys.argv[1]}{target}")
    curl.setopt(pycurl.SSL_VERIFYPEER, 0)
    curl.setopt(pycurl.SSL_VERIFYHOST, 0)
    curl.setopt(pycurl.WRITEFUNCTION, lambda data: None)
    if method == "HEAD":
        curl.setopt(pycurl.NOBODY, 1)
    elif size:
        curl.setopt(pycurl.UPLOAD, 1)
        curl.setopt(pycurl.READFUNCTION, io.BytesIO(b"0" * size).read)
        if framing != "chunked":
            curl.setopt(pycurl.INFILESIZE, size)
    if method != "HEAD":
        curl.setopt(pycurl.CUSTOMREQUEST, method)
    curl.setopt(pycurl.HTTPHEADER, headers)
    curl.perform()
    account.report("client", method, target, curl.getinfo(pycurl.RESPONSE_CODE), versions[curl.getinfo(pycurl.INFO_HTTP_VERSION)],
                   (curl.getinfo(pycurl.LOCAL_IP), curl.getinfo(pycurl.LOCAL_PORT)),
                   (curl.getinfo(pycurl.PRIMARY_IP), curl.getinfo(pycurl.PRIMARY_PORT)))


assert "GnuTLS" in pycurl.version, pycurl.version
curls = itertools.cycle([pycurl.Curl() for _ in range(int(sys.argv[2]))])
for line in sys.stdin:
    ask(next(curls), line)
