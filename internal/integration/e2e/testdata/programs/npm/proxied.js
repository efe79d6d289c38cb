// A web client behind a proxy, through which it opens tunnels: node proxied.js 127.0.0.1:3128 127.0.0.1:8080 < plan
//
// The plan has a target a line. The requests are sent at once, over at most four tunnels.
"use strict";
const channel = require("node:diagnostics_channel");
const fs = require("node:fs");
const { ProxyAgent, request } = require("undici");

const [proxy, server] = process.argv.slice(2);
const sockets = new WeakMap();

function report({ method, path }, status, socket) {
	fs.writeSync(1, JSON.stringify({
		pid: process.pid, role: "client", method, target: method === "CONNECT" ? "" : path, status,
		local: { address: socket.localAddress, port: socket.localPort },
		peer: { address: socket.remoteAddress, port: socket.remotePort },
	}) + "\n");
}

channel.subscribe("undici:client:sendHeaders", ({ request, socket }) => {
	sockets.set(request, socket);
});

channel.subscribe("undici:request:headers", ({ request, response }) => {
	report(request, response.statusCode, sockets.get(request));
});

const dispatcher = new ProxyAgent({ uri: `http://${proxy}`, connections: 4 });
async function ask(target) {
	const { body } = await request(`http://${server}${target}`, { dispatcher });
	await body.dump();
}

const targets = fs.readFileSync(0, "utf8").trim().split("\n");
Promise.all(targets.map(ask)).then(() => dispatcher.close()).catch((error) => {
	console.error(error);
	process.exit(1);
});
