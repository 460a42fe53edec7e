// Settings: the only module that reads the environment. A value that cannot be used ends the start with its name.

import { isIP } from "node:net";

export class SettingsError extends Error {}

const NETWORK_NAMES = ["loopback", "linklocal", "uniquelocal"];

function proxies(value) {
  const listed = value.split(",").map((one) => one.trim()).filter(Boolean);
  for (const one of listed) {
    const [address, length, ...rest] = one.split("/");
    const bits = isIP(address) === 4 ? 32 : 128;
    const known = isIP(address) && (length === undefined || (/^\d{1,3}$/.test(length) && +length <= bits)) && !rest.length;
    if (!known && !NETWORK_NAMES.includes(one)) {
      throw new SettingsError(`TRUSTED_PROXIES: write addresses or networks, like 10.0.0.0/8, or ${NETWORK_NAMES.join(", ")}.`);
    }
  }
  return listed;
}

/** Where traces go, or null. @param {(name: string) => string} text */
function traces(text) {
  if (text("OTEL_SDK_DISABLED").toLowerCase() === "true" || text("OTEL_TRACES_EXPORTER") === "none") return null;
  const base = text("OTEL_EXPORTER_OTLP_ENDPOINT");
  const url = text("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") || (base && `${base.replace(/\/$/, "")}/v1/traces`);
  if (url && !(URL.canParse(url) && ["http:", "https:"].includes(new URL(url).protocol))) {
    throw new SettingsError("OTEL_EXPORTER_OTLP_ENDPOINT: write the address of the collector, like http://127.0.0.1:4318");
  }
  return url || null;
}

/**
 * @param {Record<string, string | undefined>} environment
 */
export function load(environment = process.env) {
  const text = (name) => (environment[name] ?? "").trim();
  const number = (name, otherwise, least, most) => {
    const value = text(name);
    if (!value) return otherwise;
    if (!/^\d{1,12}$/.test(value) || +value < least || +value > most) {
      throw new SettingsError(`${name}: must be a whole number from ${least} to ${most}.`);
    }
    return +value;
  };
  const address = (name, otherwise = "") => {
    const value = text(name) || otherwise;
    if (!value) return null;
    const url = URL.canParse(value) ? new URL(value) : null;
    if (!url || !["http:", "https:"].includes(url.protocol) || url.pathname !== "/" || url.search || url.username) {
      throw new SettingsError(`${name}: write the address of the service without a path, like http://127.0.0.1:8000`);
    }
    return url.origin;
  };
  const level = text("LOG_LEVEL").toLowerCase() || "info";
  // Python's names and Node's.
  const levels = { debug: "debug", info: "info", warning: "warn", warn: "warn", error: "error", critical: "fatal", fatal: "fatal", silent: "silent" };
  if (!(level in levels)) throw new SettingsError("LOG_LEVEL: must be DEBUG, INFO, WARNING, ERROR or CRITICAL.");
  return {
    host: text("HOST") || "127.0.0.1",
    port: number("PORT", 8080, 0, 65_535),
    // Metrics are nobody's business outside: they have a port of their own. Empty: none.
    metricsPort: text("METRICS_PORT") ? number("METRICS_PORT", 0, 0, 65_535) : null,
    // What Prometheus must send there as a bearer token. Empty: whoever reaches the port may read.
    metricsKey: text("METRICS_KEY"),
    // OpenTelemetry's own names. Empty: no traces.
    tracesUrl: traces(text),
    services: {
      api: address("API_URL", "http://127.0.0.1:8000"),
      feedback: address("FEEDBACK_URL"),
      writer: address("WRITER_URL"),
    },
    allowedOrigins: text("ALLOWED_ORIGINS").split(",").map((origin) => origin.trim()).filter(Boolean),
    // Of each client a minute: requests that make a service work, and all others.
    rateLimit: number("RATE_LIMIT", 60, 1, 1_000_000),
    rateLimitReads: number("RATE_LIMIT_READS", 600, 1, 10_000_000),
    // Proxies of one's own in front of this one, as addresses or networks: what they say of who asks is believed. Not a
    // number of them: whoever reaches the gateway past the proxy could then say anything.
    trustedProxies: proxies(text("TRUSTED_PROXIES")),
    maxBodyBytes: number("MAX_BODY_BYTES", 50_000_000, 1, 10_000_000_000),
    mostInFlight: number("MOST_IN_FLIGHT", 256, 1, 100_000),
    requestTimeoutMs: number("REQUEST_TIMEOUT_S", 60, 1, 3600) * 1000,
    answerTimeoutMs: number("ANSWER_TIMEOUT_S", 65, 1, 3600) * 1000,
    maxRssBytes: number("MAX_RSS_MB", 220, 50, 1_000_000) * 1_000_000,
    logLevel: levels[level],
  };
}
