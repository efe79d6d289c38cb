// A web server: node server.js 127.0.0.1:8080. Over TLS it speaks HTTP/2, too, if that is its second argument: h2.
"use strict";
const http = require("node:http");
const https = require("node:https");
const http2 = require("node:http2");
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
const options = { keepAliveTimeout: 60000, ...identity };
const server = process.argv[3] === "h2" ? http2.createSecureServer({ ...options, allowHTTP1: true }, answer)
	: (secure ? https : http).createServer(options, answer);
const [host, port] = splitAddress(process.argv[2]);
server.listen(port, host);
