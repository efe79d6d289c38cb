// What a program writes down of a request: one JSON line on standard output.
"use strict";
const fs = require("node:fs");

const { TLS_CERTIFICATE, TLS_KEY } = process.env;

// Whether it is over TLS, and what a server needs for that.
exports.secure = TLS_CERTIFICATE !== undefined;
exports.identity = exports.secure ? { cert: fs.readFileSync(TLS_CERTIFICATE), key: fs.readFileSync(TLS_KEY) } : {};

exports.report = (role, method, target, status, version, { local, peer }) => {
	fs.writeSync(1, JSON.stringify({ pid: process.pid, role, method, target, status, version, local, peer }) + "\n");
};

exports.ends = (socket) => ({
	local: { address: socket.localAddress, port: socket.localPort },
	peer: { address: socket.remoteAddress, port: socket.remotePort },
});

exports.splitAddress = (address) => {
	const colon = address.lastIndexOf(":");
	return [address.slice(0, colon).replace(/[[\]]/g, ""), Number(address.slice(colon + 1))];
};
