// Runs statements over a pool of connections, as text and prepared: node statements.js 127.0.0.1 3306 password [tls]
//
// Over TLS it begins once there is something to read.
"use strict";
const fs = require("node:fs");
const mysql = require("mysql2/promise");

async function main() {
	const [host, port, password, tls] = process.argv.slice(2);
	if (tls) fs.readSync(0, Buffer.alloc(1));
	const target = { host, port: Number(port), user: "shop", password, database: "shop", ssl: tls && { rejectUnauthorized: false } };
	const pool = mysql.createPool({ ...target, connectionLimit: 5, maxPreparedStatements: 4 });
	await pool.query("CREATE TABLE notes (id INT PRIMARY KEY AUTO_INCREMENT, text VARCHAR(255))");
	await Promise.all(Array.from({ length: 50 }, async (_, i) => {
		await pool.execute("INSERT INTO notes (text) VALUES (?)", [`literal-${i}`]);
		await pool.query("SELECT text FROM notes WHERE id = ?", [i]);
		for (let n = 0; n < 6; n++) { // more than are kept prepared
			await pool.execute(`SELECT ${n}, text FROM notes WHERE id = ?`, [i]);
		}
	}));
	await pool.end();
	const connection = await mysql.createConnection(target); // without prepared statements, which another user would lose
	await connection.ping();
	await connection.beginTransaction();
	await connection.query("DELETE FROM notes WHERE text = 'literal-3'");
	await connection.rollback();
	await connection.changeUser({ user: "shop", password, database: "shop" });
	await connection.query("SELECT * FROM nowhere").then(() => { throw new Error("no error"); }, (error) => {
		if (error.errno !== 1146) throw error;
	});
	await connection.end();
}

main().catch((error) => {
	console.error(error);
	process.exit(1);
});
