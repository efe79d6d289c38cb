// A web client: node client.js 127.0.0.1:8080 20 < plan, over at most 20 connections that are kept alive.
//
// The plan has a request a line: its method, target, size of the body, how that is framed, and the traceparent, or "-".
"use strict";
const http = require("node:http");
const https = require("node:https");
const readline = require("node:readline");
const { splitAddress, report, ends, secure } = require("./account.js");

const [host, port] = splitAddress(process.argv[2]);
const web = secure ? https : http;
const agent = new web.Agent({ keepAlive: true, maxSockets: Number(process.argv[3]) });

function ask(line) {
	const [method, path, size, framing, traceparent] = line.split(" ");
	const headers = {};
	if (traceparent !== "-") headers.traceparent = traceparent;
	if (Number(size) > 0) {
		if (framing === "chunked") headers["Transfer-Encoding"] = "chunked";
		else headers["Content-Length"] = size;
	}
	const request = web.request({ host, port, method, path, headers, agent, timeout: 60000, rejectUnauthorized: false }, (response) => {
		const socket = ends(response.socket); // once the response has ended the agent may have taken it away
		response.resume();
		response.on("end", () => report("client", method, path, response.statusCode, response.httpVersion, socket));
	});
	request.on("error", (error) => {
		console.error(line, error);
		process.exit(1);
	});
	const body = Buffer.alloc(Number(size), "0");
	for (let i = 0; i < body.length; i += 16384) request.write(body.subarray(i, i + 16384));
	request.end();
}

readline.createInterface({ input: process.stdin }).on("line", ask).on("close", () => {});
