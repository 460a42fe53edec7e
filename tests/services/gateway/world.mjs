// What the tests share: services that behave as they are told, gateways in this process, and clients that speak HTTP by
// hand.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:http";
import { connect } from "node:net";
import { dirname, join } from "node:path";
import { PassThrough } from "node:stream";
import { fileURLToPath } from "node:url";

export const ROOT = join(dirname(fileURLToPath(import.meta.url)), "../../..");
const { build } = await import(join(ROOT, "services/gateway/src/app.js"));
const { load } = await import(join(ROOT, "services/gateway/src/settings.js"));

/** A service that answers as `handler` does; returns its address and how many connections it has. */
export async function service(t, handler) {
  const server = createServer(handler);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => new Promise((resolve) => {
    server.close(resolve);
    server.closeAllConnections();
  }));
  return { url: `http://127.0.0.1:${server.address().port}`, server };
}

/** Answers with what it was asked. */
export async function echo(request, response) {
  let bytes = 0;
  try {
    for await (const part of request) bytes += part.length;
  } catch {
    return; // the client left
  }
  response.setHeader("content-type", "application/json");
  response.end(JSON.stringify({ method: request.method, url: request.url, headers: request.headers, bytes }));
}

/** A gateway in this process; returns its address and what it logged. */
export async function gateway(t, settings = {}) {
  const log = [];
  const stream = new PassThrough();
  stream.on("data", (line) => log.push(line.toString()));
  const app = await build(load({ RATE_LIMIT: "1000000", RATE_LIMIT_READS: "1000000", ...settings }), { stream });
  await app.listen({ port: 0, host: "127.0.0.1" });
  t.after(() => {
    const closed = app.close();
    // What the test left open would be waited for until it is too old to be kept alive.
    app.server.closeAllConnections();
    return closed;
  });
  const { port } = app.server.address();
  return { url: `http://127.0.0.1:${port}`, port, log, app };
}

/** A connection to speak HTTP on by hand. */
export async function raw(port) {
  const socket = connect(port, "127.0.0.1");
  await once(socket, "connect");
  let text = "";
  let ended = false;
  socket.on("data", (data) => (text += data.toString("latin1")));
  socket.on("error", () => {});
  const closed = once(socket, "close").then(() => (ended = true));
  return {
    socket, closed,
    get text() { return text; },
    get ended() { return ended; },
    /** Waits until the answer so far matches. */
    async until(pattern) {
      while (!pattern.test(text)) {
        if (ended) throw new Error(`the connection ended before ${pattern}: ${text.slice(0, 300)}`);
        await Promise.race([once(socket, "data"), closed]);
      }
      return text;
    },
  };
}

/** Starts a program and waits until it prints the pattern; `stop` ends it. */
export async function program(t, command, args, environment, ready) {
  const child = spawn(command, args, { cwd: ROOT, env: { ...process.env, ...environment }, stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  child.stdout.on("data", (data) => (output += data));
  child.stderr.on("data", (data) => (output += data));
  const exit = once(child, "exit");
  t.after(async () => {
    child.kill("SIGKILL");
    await exit;
  });
  while (!ready.test(output)) {
    if (child.exitCode !== null) throw new Error(`${command} ended: ${output}`);
    await Promise.race([once(child.stdout, "data"), once(child.stderr, "data"), exit]);
  }
  return { child, exit, get output() { return output; } };
}

/** Resolves once the condition holds. */
export async function eventually(condition, what, ms = 10_000) {
  const end = Date.now() + ms;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`never happened: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

export async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}
