// Sends commands over a pool of connections: node commands.js 127.0.0.1 27017 password [tls]
//
// Over TLS it begins once there is something to read.
"use strict";
const fs = require("node:fs");
const { MongoClient } = require("mongodb");

async function use(uri, tls, secret) {
	const client = new MongoClient(uri, { maxPoolSize: 5, tls: Boolean(tls), tlsAllowInvalidCertificates: tls ? true : undefined });
	const shop = client.db("shop");
	const orders = shop.collection("orders");
	await Promise.all(Array.from({ length: 20 }, async (_, i) => {
		await orders.insertMany([{ text: secret }, { text: secret, i }]);
		await orders.findOne({ text: secret });
		await orders.updateOne({ text: secret }, { $set: { text: secret } });
		await orders.deleteMany({ text: secret });
	}));
	const rows = await shop.collection("large").find({ text: secret }).toArray();
	if (rows.length !== 10) throw new Error(`${rows.length} rows`);
	await shop.collection("unheard").insertOne({ text: secret }, { writeConcern: { w: 0 } });
	await shop.collection("broken").findOne({}).then(() => { throw new Error("no error"); }, (error) => {
		if (error.code !== 26) throw error;
	});
	await client.close();
}

async function main() {
	const [host, port, secret, tls] = process.argv.slice(2);
	if (tls) fs.readSync(0, Buffer.alloc(1));
	const uri = `mongodb://shop:${secret}@${host}:${port}/?authMechanism=PLAIN&authSource=$external`;
	await use(uri, tls, secret);
	await use(uri + "&compressors=zlib", tls, secret);
}

main().catch((error) => {
	console.error(error);
	process.exit(1);
});
