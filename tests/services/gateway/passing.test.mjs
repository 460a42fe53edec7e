// What passes through, and what does not.

import assert from "node:assert/strict";
import { test } from "node:test";
import { echo, eventually, freePort, gateway, raw, service } from "./world.mjs";

test("each path goes to its service", async (t) => {
  const named = (name) => service(t, (_request, response) => response.end(name));
  const [api, feedback, writer] = await Promise.all(["api", "feedback", "writer"].map(named));
  const { url } = await gateway(t, { API_URL: api.url, FEEDBACK_URL: feedback.url, WRITER_URL: writer.url });
  for (const [path, name] of [["/", "api"], ["/predict", "api"], ["/feedbacks", "api"], ["/feedback", "feedback"], ["/feedback?x=/write", "feedback"],
    ["/feedback/abc/photo", "feedback"], ["/write", "writer"], ["/writer", "api"], ["/%66eedback", "api"]]) {
    assert.equal(await (await fetch(url + path)).text(), name, path);
  }
});

test("a service that is not part of the installation is a 404 with a sentence", async (t) => {
  const api = await service(t, echo);
  const { url } = await gateway(t, { API_URL: api.url });
  const answer = await fetch(`${url}/write`, { method: "POST", body: "{}" });
  assert.equal(answer.status, 404);
  assert.match((await answer.json()).detail, /not part of this installation/);
});

test("a service hears who asked as the gateway knows it, not as the client says", async (t) => {
  const api = await service(t, echo);
  const { url, port } = await gateway(t, { API_URL: api.url });
  const forged = { "x-forwarded-for": "198.51.100.9", "x-forwarded-host": "evil.example", "x-forwarded-proto": "https", forwarded: "for=1.2.3.4",
    "x-real-ip": "1.2.3.4", "x-request-id": "mine-1", "x-api-key": "k", te: "trailers" };
  const { headers } = await (await fetch(`${url}/x?a=%20b`, { headers: forged })).json();
  assert.equal(headers["x-forwarded-for"], "127.0.0.1");
  assert.equal(headers["x-forwarded-host"], `127.0.0.1:${port}`);
  assert.equal(headers["x-forwarded-proto"], "http");
  for (const name of ["forwarded", "x-real-ip", "te"]) assert.equal(headers[name], undefined);
  assert.equal(headers["x-request-id"], "mine-1");
  assert.equal(headers["x-api-key"], "k");
});

test("behind a proxy of one's own the last address is believed, and only that", async (t) => {
  const api = await service(t, echo);
  const { url } = await gateway(t, { API_URL: api.url, TRUSTED_PROXIES: "loopback" });
  const { headers } = await (await fetch(url, { headers: { "x-forwarded-for": "6.6.6.6, 198.51.100.9" } })).json();
  assert.equal(headers["x-forwarded-for"], "198.51.100.9");
});

test("a request id is kept when it is clean, and made otherwise", async (t) => {
  const api = await service(t, echo);
  const { url } = await gateway(t, { API_URL: api.url });
  for (const [sent, kept] of [["abc-1.2_3", true], ["a b", false], ["x".repeat(65), false]]) {
    const answer = await fetch(url, { headers: { "x-request-id": sent } });
    const id = answer.headers.get("x-request-id");
    assert.equal(id === sent, kept, sent);
    assert.match(id, /^[A-Za-z0-9._-]{1,64}$/);
    assert.equal((await answer.json()).headers["x-request-id"], id);
  }
});

test("an upload is passed on while it comes, and the answer while it goes", async (t) => {
  let first;
  const api = await service(t, async (request, response) => {
    response.write("begun ");
    for await (const part of request) {
      first ??= part.toString();
      response.write(part);
    }
    response.end();
  });
  const { port } = await gateway(t, { API_URL: api.url });
  const client = await raw(port);
  client.socket.write("POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\n\r\nhalf");
  await client.until(/half/);
  assert.equal(first, "half");
  client.socket.write("rest");
  await client.until(/rest/);
});

test("a client that waits for 100-continue is told to go on", async (t) => {
  const api = await service(t, echo);
  const { port } = await gateway(t, { API_URL: api.url });
  const client = await raw(port);
  client.socket.write("POST /predict HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
  await client.until(/100 Continue/);
  client.socket.write("body");
  await client.until(/"bytes":4/);
});

test("a chunked body arrives whole", async (t) => {
  const api = await service(t, echo);
  const { port } = await gateway(t, { API_URL: api.url });
  const client = await raw(port);
  client.socket.write("POST /predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n");
  await client.until(/"bytes":11/);
});

test("two lengths, or a length beside chunks, are refused: they smuggle requests", async (t) => {
  let asked = 0;
  const api = await service(t, (request, response) => {
    asked += 1;
    response.end();
  });
  const { port } = await gateway(t, { API_URL: api.url });
  for (const headers of ["Content-Length: 4\r\nContent-Length: 5", "Content-Length: 4\r\nTransfer-Encoding: chunked", "Transfer-Encoding: xchunked"]) {
    const client = await raw(port);
    client.socket.write(`POST /predict HTTP/1.1\r\nHost: x\r\n${headers}\r\n\r\n0\r\n\r\n`);
    await client.until(/HTTP\/1.1 400/);
  }
  assert.equal(asked, 0);
});

test("addresses of other machines are never asked for", async (t) => {
  let asked = 0;
  const other = await service(t, (_request, response) => {
    asked += 1;
    response.end("inside");
  });
  const api = await service(t, (request, response) => response.end(`api ${request.url}`));
  const { port } = await gateway(t, { API_URL: api.url });
  const { host } = new URL(other.url);
  for (const target of [`http://${host}/x`, `//${host}/x`, `/\\${host}/x`, `/@${host}/x`, `/http://${host}/x`, `*`, `${host}`]) {
    const client = await raw(port);
    client.socket.write(`GET ${target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
    await client.closed;
    assert.match(client.text, /^HTTP\/1.1 (200|400|404)/, `${target}: ${client.text.slice(0, 200)}`);
  }
  assert.equal(asked, 0);
});

test("a wish for another protocol is left aside", async (t) => {
  const api = await service(t, echo);
  const { port } = await gateway(t, { API_URL: api.url });
  const client = await raw(port);
  client.socket.write("GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, X-Secret\r\nUpgrade: h2c\r\nX-Secret: 1\r\n\r\n");
  await client.until(/"bytes":0/);
  assert.doesNotMatch(client.text, /h2c|x-secret/);
});

test("only those services that are there are in the page's configuration", async (t) => {
  const api = await service(t, (request, response) => response.end(request.url === "/config.json" ? '{"api": "", "timeout_seconds": 7}' : '{"status": "healthy", "model_version": "9.0.0"}'));
  const feedback = await service(t, (_request, response) => response.end('{"status": "healthy"}'));
  const { url, port } = await gateway(t, { API_URL: api.url, FEEDBACK_URL: feedback.url, WRITER_URL: "http://no-such-host.invalid" });
  assert.deepEqual(await (await fetch(`${url}/config.json`)).json(), { api: "", timeout_seconds: 7, feedback: `http://127.0.0.1:${port}/` });
  const health = await (await fetch(`${url}/health`)).json();
  assert.deepEqual(health.services, { api: "healthy", feedback: "healthy", writer: "absent" });
  assert.equal(health.model_version, "9.0.0", "what the page reads of the classifier's own health");
  assert.equal(health.status, "healthy");
});

test("health tells which service is not well, and is 503 only without the classifier", async (t) => {
  const api = await service(t, (_request, response) => response.end("{}"));
  const feedback = await service(t, (_request, response) => response.writeHead(503).end('{"status": "unhealthy"}'));
  const one = await gateway(t, { API_URL: api.url, FEEDBACK_URL: feedback.url });
  const answer = await fetch(`${one.url}/health`);
  assert.equal(answer.status, 200);
  assert.deepEqual(await answer.json(), { status: "degraded", services: { api: "healthy", feedback: "unhealthy" } });
  const other = await gateway(t, { API_URL: `http://127.0.0.1:${await freePort()}`, FEEDBACK_URL: feedback.url });
  const down = await fetch(`${other.url}/health`);
  assert.equal(down.status, 503);
  assert.equal((await down.json()).services.api, "unreachable");
});

test("counts are served on a port of their own and not at the door", async (t) => {
  const api = await service(t, echo);
  const { url, app } = await gateway(t, { API_URL: api.url });
  await (await fetch(`${url}/predict`, { method: "POST", body: "x" })).text();
  assert.equal((await fetch(`${url}/metrics`)).status, 404);
  const server = await app.metrics.listen("127.0.0.1", 0);
  t.after(() => server.close());
  await eventually(async () => /gateway_requests_total\{service="api",method="POST",status="200"\} 1/.test(
    await (await fetch(`http://127.0.0.1:${server.address().port}/metrics`)).text()), "the request is counted");
});

test("with a key only its owner may read the counts, and no method makes a series of its own", async (t) => {
  const api = await service(t, echo);
  const { port, app } = await gateway(t, { API_URL: api.url });
  const server = await app.metrics.listen("127.0.0.1", 0, "the-right-one");
  t.after(() => server.close());
  const scrape = (authorization) => fetch(`http://127.0.0.1:${server.address().port}/metrics`, { headers: authorization ? { authorization } : {} });
  for (const sent of [undefined, "Bearer wrong", "Bearer the-right-on", "Basic the-right-one"]) assert.equal((await scrape(sent)).status, 401);
  for (const method of ["PROPFIND", "MKCOL", "LOCK", "SEARCH"]) {
    const connection = await raw(port);
    connection.socket.write(`${method} /predict HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`);
    await connection.closed;
  }
  let text = "";
  await eventually(async () => /method="other"/.test(text = await (await scrape("Bearer the-right-one")).text()), "they are counted");
  assert.doesNotMatch(text, /PROPFIND|MKCOL/);
});

test("what a stranger says of traces is not passed on, and what one of our own proxies says is", async (t) => {
  const api = await service(t, echo);
  const theirs = { traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", tracestate: "a=b", baggage: "c=d" };
  const door = await gateway(t, { API_URL: api.url });
  const behind = await gateway(t, { API_URL: api.url, TRUSTED_PROXIES: "loopback" });
  const passed = async (url) => (await (await fetch(`${url}/predict`, { headers: { ...theirs, "x-forwarded-for": "203.0.113.9" } })).json()).headers;
  assert.deepEqual(Object.keys(await passed(door.url)).filter((name) => name in theirs), []);
  assert.equal((await passed(behind.url)).traceparent, theirs.traceparent);
});

test("the log has a line a request, without addresses, paths, keys or names", async (t) => {
  const api = await service(t, echo);
  const { url, log } = await gateway(t, { API_URL: api.url });
  await (await fetch(`${url}/secret-path?key=secret-query`, { method: "POST", body: "secret-body", headers: { "x-api-key": "secret-key" } })).text();
  await eventually(() => log.join("").includes('"message":"request"'), "the line is written");
  const line = log.join("");
  assert.doesNotMatch(line.replace(/listening at \S+/, ""), /secret|127\.0\.0\.1/);
  const { request_id: id, status, service: name } = JSON.parse(log.find((entry) => entry.includes('"request"')));
  assert.ok(id && status === 200 && name === "api");
});

test("pages that may call the services may read why the gateway refused them", async (t) => {
  const { url } = await gateway(t, { API_URL: `http://127.0.0.1:${await freePort()}`, ALLOWED_ORIGINS: "https://page.example" });
  for (const [origin, allowed] of [["https://page.example", "https://page.example"], ["https://evil.example", null]]) {
    const answer = await fetch(`${url}/predict`, { method: "POST", body: "x", headers: { origin } });
    assert.equal(answer.status, 502);
    assert.equal(answer.headers.get("access-control-allow-origin"), allowed);
  }
});

test("a setting that cannot be used ends the start by its name", async () => {
  const { load, SettingsError } = await import("../../../services/gateway/src/settings.js");
  for (const [name, value] of [["API_URL", "api:8000"], ["API_URL", "http://x/path"], ["PORT", "many"], ["RATE_LIMIT", "0"], ["LOG_LEVEL", "loud"], ["TRUSTED_PROXIES", "10.0.0.0/33"], ["TRUSTED_PROXIES", "1"]]) {
    assert.throws(() => load({ [name]: value }), (error) => error instanceof SettingsError && error.message.startsWith(name), `${name}=${value}`);
  }
});

test("a connection serves one request after another, and is kept while it is idle", async (t) => {
  const api = await service(t, (_request, response) => response.end("answered"));
  const { port } = await gateway(t, { API_URL: api.url });
  const [client, idle] = [await raw(port), await raw(port)];
  const ask = async (one, times) => {
    one.socket.write("GET /x HTTP/1.1\r\nHost: x\r\n\r\n");
    await eventually(() => one.text.split("answered").length === times + 1, `answer ${times}`);
  };
  await ask(idle, 1);
  for (let times = 1; times <= 3; times += 1) await ask(client, times);
  await ask(idle, 2);
  assert.doesNotMatch(client.text, /connection: close/i);
});
