// A web server: node server.js 127.0.0.1:8080. Over TLS it speaks HTTP/2, too, if that is its second argument: h2;
// with renegotiate it speaks TLS 1.2, and does that.
"use strict";
const http = require("node:http");
const https = require("node:https");
const http2 = require("node:http2");
const tls = require("node:tls");
const { splitAddress, report, ends, secure, identity } = require("./account.js");

const answer = (request, response) => {
	request.resume();
	request.on("end", () => {
		const query = new URL(request.url, "http://localhost").searchParams;
		const status = Number(query.get("status") ?? 200);
		const body = Buffer.alloc(Number(query.get("bytes") ?? 6), "x");
		report("server", request.method, request.url, status, request.httpVersion.replace(/^2.0$/, "2"), ends(request.socket));
		const headers = {};
		if (Math.floor(status / 100) === 3) headers.Location = "/elsewhere";
		if (status !== 204 && query.get("framing") !== "chunked") headers["Content-Length"] = body.length;
		response.writeHead(status, headers);
		if (query.get("framing") === "chunked") response.write(body.subarray(0, body.length / 2));
		response.end(query.get("framing") === "chunked" ? body.subarray(body.length / 2) : body);
	});
};

// Before each answer there is another handshake.
function renegotiate(request, response) {
	request.socket.renegotiate({ requestCert: false }, (error) => {
		if (error) throw error;
		answer(request, response);
	});
}

const older = process.argv[3] === "renegotiate";
if (older) tls.CLIENT_RENEG_LIMIT = Infinity;
const options = { keepAliveTimeout: 60000, maxVersion: older ? "TLSv1.2" : undefined, ...identity };
const server = process.argv[3] === "h2" ? http2.createSecureServer({ ...options, allowHTTP1: true }, answer)
	: (secure ? https : http).createServer(options, older ? renegotiate : answer);
const [host, port] = splitAddress(process.argv[2]);
server.listen(port, host);
