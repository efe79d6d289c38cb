// What the services in Node.js have in common: call(id, k) resolves to an answer of the backend.
const http = require("node:http");
const { setTimeout } = require("node:timers/promises");

async function answers(call, id) {
  if (process.env.CALLS === "delayed") await setTimeout(1 + (id % 5));
  if (["one", "delayed"].includes(process.env.CALLS)) return [await call(id, 0)];
  if (process.env.CALLS === "parallel") return Promise.all([0, 1, 2].map((k) => call(id, k)));
  const all = [];
  for (let k = 0; k < 3; k++) all.push(await call(id, k));
  return all;
}

// requestId is the header that is passed on, if there is one.
exports.requestId = (id) => (process.env.REQUEST_IDS ? { "X-Request-ID": `causality-${id}` } : {});

exports.serve = (call) => {
  const server = http.createServer(async (request, response) => {
    try {
      response.end((await answers(call, request.url.split("/")[2])).join(","));
    } catch (error) {
      response.statusCode = 502;
      response.end(String(error.cause ?? error));
    }
  });
  server.keepAliveTimeout = 60_000;
  server.listen({ port: Number(process.env.LISTEN), host: "127.0.0.1", backlog: 2048 });
};
