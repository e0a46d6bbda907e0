// A web application with default metrics and a request counter: express with prom-client. Listens on 127.0.0.1:$PORT.
const express = require("express");
const client = require("prom-client");

client.collectDefaultMetrics();
const requests = new client.Counter({
  name: "http_requests_total",
  help: "HTTP requests",
  labelNames: ["method", "handler", "status"],
});
const duration = new client.Histogram({
  name: "http_request_duration_seconds",
  help: "HTTP request duration",
  labelNames: ["handler"],
  buckets: [0.005, 0.05, 0.5, 1, 5],
});

const app = express();
app.get("/metrics", async (_, response) => {
  response.set("Content-Type", client.register.contentType);
  response.end(await client.register.metrics());
});
app.get("/work", (request, response) => {
  const status = request.query.status || "200";
  requests.inc({ method: "GET", handler: "/work", status });
  duration.observe({ handler: "/work" }, Number(request.query.took || "0.02"));
  response.status(Number(status)).end("done\n");
});
app.listen(Number(process.env.PORT), "127.0.0.1");
