// Calls by fetch, which is undici's. A connection for each call takes a dispatcher that does not pipeline, and Node.js does not export
// the class of its own.
const backend = `http://127.0.0.1:${process.env.BACKEND}`;
const options = {};

async function call(id, k) {
  const response = await fetch(`${backend}/c/${id}/${k}`, options);
  return response.text();
}

fetch("data:,").then(() => {
  if (process.env.STYLE === "new") {
    const { constructor: Agent } = globalThis[Symbol.for("undici.globalDispatcher.1")];
    options.dispatcher = new Agent({ pipelining: 0 });
  }
  require("./service").serve(call);
});
