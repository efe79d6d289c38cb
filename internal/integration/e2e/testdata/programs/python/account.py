"""What a program writes down of a request: one JSON line on standard output."""
import json
import os
import ssl
import urllib.parse


def end(name):
    """The end of a connection that getsockname or getpeername named."""
    return {"address": name[0], "port": name[1]}


def gnutls():
    """The module that does TLS by GnuTLS, which few programs have."""
    import gnutls
    return gnutls


def server_context():
    """What a server does TLS with; None: it does not."""
    if "TLS_CERTIFICATE" not in os.environ:
        return None
    if "TLS_WAY" in os.environ:
        return gnutls().Context(server=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if "TLS_CURVE" in os.environ:  # of others, the server demands another hello
        context.set_ecdh_curve(os.environ["TLS_CURVE"])
    context.load_cert_chain(os.environ["TLS_CERTIFICATE"], os.environ["TLS_KEY"])
    return context


def client_context():
    """What a client does TLS with, whoever the server is; None: it does not."""
    if "TLS_CERTIFICATE" not in os.environ:
        return None
    if "TLS_WAY" in os.environ:
        return gnutls().Context(server=False)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def report(role, method, target, status, version, local, peer):
    line = {"pid": os.getpid(), "role": role, "method": method, "target": target, "status": status, "version": version,
            "local": end(local), "peer": end(peer)}
    os.write(1, (json.dumps(line) + "\n").encode())  # in one call: lines of several threads do not mix


def wanted(target):
    """The status and the size of the body that a target asks for, and whether in chunks."""
    query = urllib.parse.parse_qs(urllib.parse.urlsplit(target).query)
    first = lambda key, otherwise: query.get(key, [otherwise])[0]
    return int(first("status", "200")), int(first("bytes", "6")), first("framing", "length") == "chunked"


def has_body(method, status):
    """RFC 9112 section 6.3: these responses end with their head."""
    return method != "HEAD" and status not in (204, 304)


def split(address):
    host, port = address.rsplit(":", 1)
    return host.strip("[]"), int(port)
