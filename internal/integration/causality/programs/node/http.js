// Calls by http.request.
const http = require("node:http");
const { requestId, serve } = require("./service");
const agent = new http.Agent({ keepAlive: process.env.STYLE !== "new", maxFreeSockets: 2000 });

serve((id, k) => new Promise((resolve, reject) => {
  http.get({ host: "127.0.0.1", port: process.env.BACKEND, path: `/c/${id}/${k}`, agent, headers: requestId(id) }, (response) => {
    response.setEncoding("utf8");
    let text = "";
    response.on("data", (part) => { text += part; });
    response.on("end", () => resolve(text));
    response.on("error", reject);
  }).on("error", reject);
}));
