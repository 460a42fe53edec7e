// Counts for Prometheus, on a port of their own that is not published.

import { createHash, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";
import client from "prom-client";

const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

const METHODS = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]);

/** Whether two texts are the same, in a time that tells nothing of where they differ. */
const same = (one, other) => timingSafeEqual(...[one, other].map((text) => createHash("sha256").update(text).digest()));

/** @param {() => Record<string, number>} inFlight */
export function metrics(inFlight) {
  const registry = new client.Registry();
  client.collectDefaultMetrics({ register: registry });
  const requests = new client.Counter({
    name: "gateway_requests_total", help: "Requests answered, by service, method and status.",
    labelNames: ["service", "method", "status"], registers: [registry],
  });
  const seconds = new client.Histogram({
    name: "gateway_request_seconds", help: "From the first byte of a request to the last of its answer.",
    labelNames: ["service"], buckets: SECONDS, registers: [registry],
  });
  const limited = new client.Counter({ name: "gateway_rate_limited_total", help: "Requests over a client's limit.", registers: [registry] });
  const waiting = new client.Gauge({
    name: "gateway_in_flight", help: "Requests that a service is answering.", labelNames: ["service"], registers: [registry],
    collect() {
      for (const [service, count] of Object.entries(inFlight())) waiting.set({ service }, count);
    },
  });
  return {
    limited: () => limited.inc(),
    answered(service, method, status, ms) {
      // Whatever a client calls its method: a series each would be without end.
      requests.inc({ service, method: METHODS.has(method) ? method : "other", status });
      seconds.observe({ service }, ms / 1000);
    },
    /** Serves them, with a key only to whoever brings it as a bearer token; returns the server. */
    async listen(host, port, key = "") {
      const server = createServer(async (request, response) => {
        if (key && !same(request.headers.authorization ?? "", `Bearer ${key}`)) {
          return response.writeHead(401, { "www-authenticate": "Bearer" }).end("The metrics take METRICS_KEY as a bearer token.\n");
        }
        if (request.url !== "/metrics") return response.writeHead(404).end();
        response.writeHead(200, { "content-type": registry.contentType }).end(await registry.metrics());
      });
      await new Promise((resolve, reject) => server.once("error", reject).listen(port, host, resolve));
      return server;
    },
  };
}
