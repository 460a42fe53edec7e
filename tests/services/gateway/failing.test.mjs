// What the gateway does when services or clients fail.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:net";
import { test } from "node:test";
import { echo, eventually, freePort, gateway, program, raw, service } from "./world.mjs";

/** A service that speaks whatever it is told to, once a connection brings something. */
async function rude(t, answer) {
  const server = createServer((socket) => socket.on("error", () => {}).once("data", () => answer(socket)));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  return `http://127.0.0.1:${server.address().port}`;
}

async function sentence(answer, status, pattern) {
  assert.equal(answer.status, status);
  assert.match((await answer.json()).detail, pattern);
  assert.ok(answer.headers.get("x-request-id"));
}

test("a service that is down is a 502 with a sentence", async (t) => {
  const { url } = await gateway(t, { API_URL: `http://127.0.0.1:${await freePort()}`, WRITER_URL: "http://no-such-host.invalid" });
  const answer = await fetch(`${url}/predict`, { method: "POST", body: "x" });
  assert.equal(answer.headers.get("retry-after"), "5");
  await sentence(answer, 502, /classifier cannot be reached/);
  await sentence(await fetch(`${url}/write`, { method: "POST", body: "x" }), 502, /writer cannot be reached/);
});

test("a service that takes too long is a 504 with a sentence", async (t) => {
  const api = await service(t, () => {});
  const { url } = await gateway(t, { API_URL: api.url, ANSWER_TIMEOUT_S: "1" });
  await sentence(await fetch(`${url}/predict`, { method: "POST", body: "x" }), 504, /took too long/);
});

test("a service that speaks no HTTP is a 502 with a sentence", async (t) => {
  for (const answer of ["nonsense\r\n\r\n", "HTTP/1.1 999999 x\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", ""]) {
    const { url } = await gateway(t, { API_URL: await rude(t, (socket) => socket.end(answer)) });
    await sentence(await fetch(`${url}/predict`, { method: "POST", body: "x" }), 502, /\.$/);
  }
});

test("an answer that breaks off is broken off, never passed for a whole one", async (t) => {
  for (const head of ["Content-Length: 100\r\n\r\nhalf", "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"]) {
    const api = await rude(t, (socket) => {
      socket.write(`HTTP/1.1 200 OK\r\n${head}`);
      setTimeout(() => socket.destroy(), 50);
    });
    const { url } = await gateway(t, { API_URL: api });
    const answer = await fetch(`${url}/predict`, { method: "POST", body: "x" });
    await assert.rejects(answer.text());
  }
});

test("reading is tried again when the connection was lost, and sending never", async (t) => {
  const seen = [];
  const api = await rude(t, (socket) => {
    seen.push("x");
    if (seen.length === 1) socket.destroy();
    else socket.end("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
  });
  const { url } = await gateway(t, { API_URL: api });
  assert.equal(await (await fetch(`${url}/health.txt`)).text(), "ok");
  assert.equal(seen.length, 2);
  seen.length = 0;
  await sentence(await fetch(`${url}/feedbacks`, { method: "POST", body: "x" }), 502, /cannot be reached/);
  assert.equal(seen.length, 1);
});

test("a 503 of a service passes as it is, at once", async (t) => {
  let asked = 0;
  const api = await service(t, (_request, response) => {
    asked += 1;
    response.writeHead(503, { "retry-after": "7", "content-type": "application/json" }).end('{"detail": "no model"}');
  });
  const { url } = await gateway(t, { API_URL: api.url });
  const answer = await fetch(`${url}/model/info`);
  assert.equal(answer.headers.get("retry-after"), "7");
  await sentence(answer, 503, /no model/);
  assert.equal(asked, 1);
});

test("a client that vanishes in its upload ends the request to the service", async (t) => {
  let reading = 0, aborted = 0;
  const api = await service(t, (request) => {
    request.on("data", () => (reading += 1)).on("error", () => {}).on("close", () => request.complete || (aborted += 1));
  });
  const { port, log } = await gateway(t, { API_URL: api.url });
  const client = await raw(port);
  client.socket.write("POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nbegun");
  await eventually(() => reading > 0, "the service reads");
  client.socket.destroy();
  await eventually(() => aborted === 1, "the service hears that it ended");
  await eventually(() => log.join("").includes('"status":499'), "the log says so");
});

test("a client that leaves while an answer streams ends that answer", async (t) => {
  let closed = 0;
  const writer = await service(t, (_request, response) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    const timer = setInterval(() => response.write("data: word\n\n"), 20);
    response.on("close", () => {
      clearInterval(timer);
      closed += 1;
    });
  });
  const { port } = await gateway(t, { API_URL: writer.url, WRITER_URL: writer.url });
  const client = await raw(port);
  client.socket.write("POST /write HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}");
  await client.until(/word/);
  client.socket.destroy();
  await eventually(() => closed === 1, "the writer hears that nobody listens");
});

test("a service may refuse a large upload before it has come, and the client hears why", async (t) => {
  const api = await service(t, (request, response) => {
    response.writeHead(413, { "content-type": "application/json" }).end(`{"detail": "too large"}`);
    request.on("error", () => {}).resume();
  });
  const { port } = await gateway(t, { API_URL: api.url });
  for (const size of [5_000_000, 40_000_000]) {
    const client = await raw(port);
    client.socket.write(`POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: ${size}\r\n\r\n`);
    client.socket.write(Buffer.alloc(size));
    await client.until(/413 Payload Too Large[\s\S]*too large/);
    client.socket.destroy();
  }
});

test("an upload that says that it is too large is refused before it comes", async (t) => {
  const api = await service(t, echo);
  const { port } = await gateway(t, { API_URL: api.url, MAX_BODY_BYTES: "1000" });
  const client = await raw(port);
  client.socket.write("POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n\r\n");
  await client.until(/413[\s\S]*more than 1000 bytes/);
});

test("headers of 64 kB are refused with a sentence", async (t) => {
  const api = await service(t, echo);
  const { port } = await gateway(t, { API_URL: api.url });
  const client = await raw(port);
  client.socket.write(`GET / HTTP/1.1\r\nHost: x\r\nX-Large: ${"a".repeat(65_536)}\r\n\r\n`);
  await client.until(/431[\s\S]*headers of the request are too large/);
});

test("what is no HTTP is refused with a sentence", async (t) => {
  const { port } = await gateway(t, {});
  for (const text of ["nonsense\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "GET /\x01 HTTP/1.1\r\nHost: x\r\n\r\n"]) {
    const client = await raw(port);
    client.socket.write(text);
    await client.until(/HTTP\/1.1 400[\s\S]*"detail"/);
  }
});

test("a request whose headers or body come too slowly is ended", async (t) => {
  const api = await service(t, echo);
  const { port } = await gateway(t, { API_URL: api.url, REQUEST_TIMEOUT_S: "1" });
  const client = await raw(port);
  client.socket.write("GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ");
  const other = await raw(port);
  other.socket.write("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nslow");
  const begun = Date.now();
  await client.until(/408[\s\S]*too long to arrive/);
  await other.closed;
  assert.ok(Date.now() - begun < 6_000, "the time that is set holds for both");
});

test("a flood from one address is limited, and others go on", async (t) => {
  const api = await service(t, echo);
  const { url } = await gateway(t, { API_URL: api.url, RATE_LIMIT: "20", RATE_LIMIT_READS: "40", TRUSTED_PROXIES: "loopback" });
  const send = (address, options = {}) => fetch(`${url}/predict`, { method: "POST", body: "x", headers: { "x-forwarded-for": address }, ...options });
  const flood = await Promise.all(Array.from({ length: 100 }, () => send("198.51.100.1")));
  assert.equal(flood.filter(({ status }) => status === 200).length, 20);
  const refused = flood.find(({ status }) => status === 429);
  assert.ok(+refused.headers.get("retry-after") > 0);
  await sentence(refused, 429, /more than 20 requests in a minute/);
  assert.equal((await send("198.51.100.2")).status, 200);
  assert.equal((await fetch(url, { headers: { "x-forwarded-for": "198.51.100.1" } })).status, 200, "its page still loads");
  assert.equal((await send("2001:db8::1")).status, 200);
  for (let i = 0; i < 19; i += 1) await send(`2001:db8::${i + 2}`);
  assert.equal((await send("2001:db8::ffff")).status, 429, "one customer's network is one client");
  assert.equal((await send("2001:db8:0:1::1")).status, 200);
});

test("networks of IPv6 are told apart by their first 64 bits", async () => {
  const { clientOf } = await import("../../../services/gateway/src/limits.js");
  for (const [address, client] of [["203.0.113.9", "203.0.113.9"], ["::ffff:203.0.113.9", "203.0.113.9"], ["::1", "0:0:0:0::/64"],
    ["2001:db8::1", "2001:db8:0:0::/64"], ["2001:0db8:0000:0000:ffff::", "2001:db8:0:0::/64"], ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"]]) {
    assert.equal(clientOf(address), client);
  }
});

test("more requests than can wait are a 503, and it ends with them", async (t) => {
  const waiting = [];
  const api = await service(t, (_request, response) => waiting.push(response));
  const { url } = await gateway(t, { API_URL: api.url, MOST_IN_FLIGHT: "5" });
  const slow = Array.from({ length: 5 }, () => fetch(`${url}/predict`, { method: "POST", body: "x" }));
  await eventually(() => waiting.length === 5, "five wait");
  await sentence(await fetch(`${url}/predict`, { method: "POST", body: "x" }), 503, /Too many requests/);
  waiting.splice(0).forEach((response) => response.end("done"));
  for (const answer of await Promise.all(slow)) assert.equal(await answer.text(), "done");
  const again = fetch(`${url}/predict`, { method: "POST", body: "x" });
  await eventually(() => waiting.length === 1, "one more is let in");
  waiting[0].end("done");
  assert.equal((await again).status, 200);
});

test("clients that vanish leave no place taken", async (t) => {
  const api = await service(t, (request, response) => {
    request.on("error", () => {}).resume().on("end", () => response.end("done"));
  });
  const { url, port } = await gateway(t, { API_URL: api.url, MOST_IN_FLIGHT: "3" });
  for (let i = 0; i < 6; i += 1) {
    const client = await raw(port);
    client.socket.write("POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf");
    client.socket.destroy();
    await client.closed;
  }
  await eventually(async () => (await fetch(`${url}/predict`, { method: "POST", body: "x" })).status === 200, "the next is let in");
});

/** A gateway that is told to end while its service answers: whole answers, or the rest of streams that have begun. */
async function ended(t, begun) {
  let release;
  const api = await service(t, (request, response) => {
    // Somebody new may still be let in before the signal arrives: that is not the request that waits.
    if (request.url !== "/predict") return response.end();
    if (begun) response.write("answ");
    release = () => response.end(begun ? "ered" : "answered");
  });
  const port = await freePort();
  const running = await program(t, process.execPath, ["services/gateway/src/main.js"], { PORT: String(port), API_URL: api.url }, /"listening"/);
  const answer = fetch(`http://127.0.0.1:${port}/predict`, { method: "POST", body: "x" });
  await (begun ? answer : eventually(() => release, "the service has the request"));
  running.child.kill("SIGTERM");
  await eventually(() => fetch(`http://127.0.0.1:${port}/`).then(() => false, () => true), "nobody new is let in");
  release();
  const released = Date.now();
  if (!begun) assert.equal((await answer).headers.get("connection"), "close");
  assert.equal(await (await answer).text(), "answered");
  const [code] = await running.exit;
  assert.equal(code, 0);
  assert.ok(Date.now() - released < 5_000, "a connection that is kept alive does not hold the end up");
}

test("told to end, it answers what it has and takes nothing new", (t) => ended(t, false));
test("told to end, it lets a stream end first", (t) => ended(t, true));

test("a wrong setting ends the start with one line", async (t) => {
  const { spawnSync } = await import("node:child_process");
  const { ROOT } = await import("./world.mjs");
  const result = spawnSync(process.execPath, ["services/gateway/src/main.js"], { cwd: ROOT, env: { ...process.env, PORT: "many" }, encoding: "utf8" });
  assert.equal(result.status, 2);
  assert.match(result.stderr, /^error: PORT: must be/);
  t.diagnostic(result.stderr.trim());
});
