// The gateway in front of the real classifier: the same answers, streamed, under load and in little memory.
// PYTHON names the interpreter that has the classifier's packages.

import assert from "node:assert/strict";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { Agent, request as httpRequest } from "node:http";
import { connect } from "node:net";
import { join } from "node:path";
import { before, test } from "node:test";
import { ROOT, eventually, freePort, program, raw } from "./world.mjs";

const PYTHON = process.env.PYTHON ?? "python3";
const CLIENTS = 64;
const SECONDS = +(process.env.LOAD_SECONDS ?? 6);
const photo = await readFile(join(ROOT, "web/samples/chelsea.jpg"));
const world = {};

before(async () => {
  const lasting = { after: (end) => process.once("beforeExit", end) };
  const ports = { api: await freePort(), gateway: await freePort() };
  world.api = `http://127.0.0.1:${ports.api}`;
  world.gateway = `http://127.0.0.1:${ports.gateway}`;
  world.port = ports.gateway;
  const children = [];
  const api = await program(lasting, PYTHON, ["-m", "api", "serve", "--port", String(ports.api)], { LOG_LEVEL: "ERROR" }, /predict/);
  const gateway = await program(lasting, process.execPath, ["services/gateway/src/main.js"], {
    API_URL: world.api, PORT: String(ports.gateway), RATE_LIMIT: "1000000", RATE_LIMIT_READS: "1000000",
  }, /"listening"/);
  children.push(api.child, gateway.child);
  world.child = gateway.child;
  world.log = () => gateway.output;
  world.end = () => children.forEach((child) => child.kill("SIGKILL"));
  await eventually(() => fetch(`${world.api}/health`).then(({ ok }) => ok, () => false), "the classifier is up", 60_000);
});

async function residentMb() {
  const status = await readFile(`/proc/${world.child.pid}/status`, "utf8");
  return { now: +/VmRSS:\s+(\d+)/.exec(status)[1] / 1024, peak: +/VmHWM:\s+(\d+)/.exec(status)[1] / 1024 };
}

function send(agent, body, path = "/predict", type = "image/jpeg") {
  return new Promise((resolve, reject) => {
    const sent = httpRequest(world.gateway + path, { agent, method: "POST", headers: { "content-type": type, "content-length": body.length } }, async (answer) => {
      let text = "";
      for await (const part of answer) text += part;
      resolve({ status: answer.statusCode, headers: answer.headers, text });
    });
    sent.on("error", reject).end(body);
  });
}

test("an answer through the gateway is the classifier's own", async () => {
  const ask = async (base) => {
    const { processing_time_ms: _, timestamp: __, ...rest } = await (await fetch(`${base}/predict?explain=true`, { method: "POST", body: photo, headers: { "content-type": "image/jpeg" } })).json();
    return rest;
  };
  assert.deepEqual(await ask(world.gateway), await ask(world.api));
  for (const path of ["/", "/model/info", "/openapi.json", "/app.js", "/no-such-file"]) {
    const [ours, theirs] = await Promise.all([world.gateway, world.api].map((base) => fetch(base + path)));
    assert.equal(ours.status, theirs.status);
    assert.equal(await ours.text(), await theirs.text(), path);
  }
  const head = await fetch(world.gateway, { method: "HEAD" });
  assert.equal(head.status, 200);
});

test("a photo that the classifier refuses as too large is refused with its sentence", async () => {
  const answer = await send(new Agent(), Buffer.alloc(13_000_000));
  assert.equal(answer.status, 413, answer.text);
  assert.match(JSON.parse(answer.text).detail, /bytes/);
});

test("forty uploads of 4.3 MB at one time are held nowhere whole", async (t) => {
  const before = await residentMb();
  const size = 4_300_000;
  const open = await Promise.all(Array.from({ length: 40 }, async () => {
    const client = await raw(world.port);
    client.socket.write(`POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\nContent-Length: ${size}\r\n\r\n`);
    client.socket.write(Buffer.concat([photo, Buffer.alloc(size - photo.length - 1)]));
    return client;
  }));
  await new Promise((resolve) => setTimeout(resolve, 1000));
  const during = await residentMb();
  for (const { socket } of open) socket.write("x");
  for (const client of open) {
    await client.until(/"prediction":"cat"|HTTP\/1.1 503/);
    client.socket.destroy();
  }
  const after = await residentMb();
  t.diagnostic(`resident: ${before.now.toFixed(0)} MB before, ${during.now.toFixed(0)} with 40 x 4.3 MB under way, at most ${after.peak.toFixed(0)}`);
  assert.ok(after.peak < 200, `${after.peak} MB`);
});

test("64 clients of which a tenth misbehave: everybody else is answered", async (t) => {
  const until = Date.now() + SECONDS * 1000;
  const statuses = {};
  let broken = 0, rude = 0;
  const good = async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    while (Date.now() < until) {
      const { status, text } = await send(agent, photo);
      statuses[status] = (statuses[status] ?? 0) + 1;
      if (status === 200 ? !text.includes('"cat"') : ![502, 503].includes(status) || !JSON.parse(text).detail) broken += 1;
    }
    agent.destroy();
  };
  const misbehaviours = [
    (socket) => socket.end("POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nbegun"),
    (socket) => socket.write("GET / HTTP/1.1\r\nX-Slow: "),
    (socket) => socket.end("\x16\x03\x01 no http\r\n\r\n"),
    (socket) => socket.write(`GET / HTTP/1.1\r\nHost: x\r\nX: ${"a".repeat(70_000)}\r\n\r\n`),
    (socket) => socket.write("POST /predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffff\r\nx"),
    (socket) => socket.write(`POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\nContent-Length: ${photo.length}\r\n\r\n`) && socket.write(photo),
  ];
  const bad = async (i) => {
    for (let n = i; Date.now() < until; n += 1) {
      const socket = connect(world.port, "127.0.0.1").on("error", () => {});
      await once(socket, "connect");
      misbehaviours[n % misbehaviours.length](socket);
      await new Promise((resolve) => setTimeout(resolve, 50));
      socket.destroy();
      rude += 1;
    }
  };
  const tenth = Math.round(CLIENTS / 10);
  await Promise.all([...Array.from({ length: CLIENTS - tenth }, good), ...Array.from({ length: tenth }, (_, i) => bad(i))]);
  t.diagnostic(`${JSON.stringify(statuses)} beside ${rude} bad connections; ${(await residentMb()).peak.toFixed(0)} MB at most`);
  const failures = world.log().split("\n").filter((line) => line.includes("no answer")).map((line) => JSON.parse(line).code);
  assert.equal(broken, 0, `${JSON.stringify(statuses)} ${failures}`);
  assert.ok(statuses[200] > 0);
  assert.ok(Object.keys(statuses).every((status) => ["200", "502", "503"].includes(status)), JSON.stringify(statuses));
  assert.equal((await fetch(`${world.gateway}/health`)).status, 200);
});

test("the end", () => world.end());
