// A web client of HTTP/2 over TLS: node http2.js 127.0.0.1:8080 < plan, on one connection.
//
// The plan is that of client.js.
"use strict";
const http2 = require("node:http2");
const readline = require("node:readline");
const { report, ends } = require("./account.js");

let session;
let open = 0;
let read = false;

function ask(line) {
	session ??= http2.connect(`https://${process.argv[2]}`, { rejectUnauthorized: false });
	const [method, path, size, framing, traceparent] = line.split(" ");
	const headers = { ":method": method, ":path": path };
	if (traceparent !== "-") headers.traceparent = traceparent;
	if (framing === "length" && Number(size) > 0) headers["content-length"] = size;
	const stream = session.request(headers, { endStream: Number(size) === 0 });
	open++;
	let status = 0;
	stream.on("response", (headers) => { status = headers[":status"]; });
	stream.resume();
	stream.on("end", () => {
		report("client", method, path, status, "2", ends(session.socket));
		open--;
		end();
	});
	stream.on("error", (error) => {
		console.error(line, error);
		process.exit(1);
	});
	if (Number(size) > 0) stream.end(Buffer.alloc(Number(size), "0"));
}

function end() {
	if (read && open === 0) session.close();
}

readline.createInterface({ input: process.stdin }).on("line", ask).on("close", () => {
	read = true;
	end();
});
