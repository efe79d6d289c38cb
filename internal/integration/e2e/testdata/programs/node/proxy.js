// A proxy that ends TLS, and begins it anew, in one thread: node proxy.js 127.0.0.1:8080 127.0.0.1:8081. What one connection brings is written on
// another one from within the callback.
"use strict";
const https = require("node:https");
const { splitAddress, report, ends, identity } = require("./account.js");

const [host, port] = splitAddress(process.argv[2]);
const [behind, behindPort] = splitAddress(process.argv[3]);
const agent = new https.Agent({ keepAlive: true, maxSockets: 8 });

https.createServer({ ...identity, keepAliveTimeout: 60000 }, (request, response) => {
	const { method, url, headers } = request;
	const onward = https.request({ host: behind, port: behindPort, method, path: url, headers, agent, rejectUnauthorized: false }, (answer) => {
		report("server", method, url, answer.statusCode, request.httpVersion, ends(request.socket));
		response.writeHead(answer.statusCode, answer.headers);
		answer.on("data", (piece) => response.write(piece));
		answer.on("end", () => response.end());
	});
	onward.on("error", (error) => {
		console.error(method, url, error);
		process.exit(1);
	});
	request.on("data", (piece) => onward.write(piece));
	request.on("end", () => onward.end());
}).listen(port, host);
