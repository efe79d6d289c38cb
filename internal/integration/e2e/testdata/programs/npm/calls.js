// A gRPC server and a client upon the HTTP/2 of Node.js: node calls.js server|client 127.0.0.1:8080 < plan
//
// Each line of the plan is the size of a request, and that of its response, in bytes. All calls are made on one channel, one after the other. Each
// end writes a JSON line for each.
"use strict";
const fs = require("node:fs");
const grpc = require("@grpc/grpc-js");

const path = "/socketflow.e2e.Sizes/Call";
const same = (bytes) => bytes; // messages are bytes
const definition = {
	Call: {
		path, requestStream: false, responseStream: false,
		requestSerialize: same, requestDeserialize: same, responseSerialize: same, responseDeserialize: same,
	},
};
const anySize = { "grpc.max_receive_message_length": -1, "grpc.max_send_message_length": -1 };

function report(role) {
	fs.writeSync(1, JSON.stringify({ pid: process.pid, role, method: "POST", target: path, rpc_status: 0, version: "2" }) + "\n");
}

function check(error) {
	if (!error) return;
	console.error(error);
	process.exit(1);
}

const [role, address] = process.argv.slice(2);
if (role === "server") {
	const server = new grpc.Server(anySize);
	server.addService(definition, {
		Call(call, done) {
			report("server");
			done(null, Buffer.alloc(call.request.readUInt32BE(4), "r"));
		},
	});
	server.bindAsync(address, grpc.ServerCredentials.createInsecure(), check);
} else {
	const Client = grpc.makeGenericClientConstructor(definition, "Sizes");
	const client = new Client(address, grpc.credentials.createInsecure(), anySize);
	const plan = fs.readFileSync(0, "utf8").trim().split("\n");
	const next = () => {
		if (plan.length === 0) return client.close();
		const [size, wanted] = plan.shift().split(" ").map(Number);
		const request = Buffer.alloc(size, "q");
		request.writeBigUInt64BE(BigInt(wanted));
		client.Call(request, { deadline: Date.now() + 60000 }, (error, response) => {
			check(error ?? (response.length !== wanted && new Error(`${response.length} bytes`)));
			report("client");
			next();
		});
	};
	next();
}
