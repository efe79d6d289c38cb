// The storefront: GET /buy/<number> places an order.
const http = require("node:http");

const agent = new http.Agent({ keepAlive: true });

function placeOrder(number) {
  return new Promise((resolve, reject) => {
    const options = { host: "127.0.0.1", port: process.env.ORDERS_PORT, path: `/orders/${number}`, method: "POST", agent };
    http.request(options, (response) => {
      response.setEncoding("utf8");
      let body = "";
      response.on("data", (part) => { body += part; });
      response.on("end", () => (response.statusCode === 200 ? resolve(body) : reject(new Error(body))));
      response.on("error", reject);
    }).on("error", reject).end();
  });
}

http.createServer(async (request, response) => {
  const [, number] = request.url.match(/^\/buy\/(\d+)$/) ?? [];
  if (!number) {
    response.writeHead(404).end();
    return;
  }
  try {
    const order = await placeOrder(number);
    response.setHeader("Content-Type", "application/json").end(order);
  } catch (error) {
    response.writeHead(502).end(`${error.message}\n`);
  }
}).listen(Number(process.env.PORT), "127.0.0.1");
