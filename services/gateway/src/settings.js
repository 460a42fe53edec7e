// Settings: the only module that reads the environment. A value that cannot be used ends the start with its name.

export class SettingsError extends Error {}

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
    services: {
      api: address("API_URL", "http://127.0.0.1:8000"),
      feedback: address("FEEDBACK_URL"),
      writer: address("WRITER_URL"),
    },
    allowedOrigins: text("ALLOWED_ORIGINS").split(",").map((origin) => origin.trim()).filter(Boolean),
    // Of each client a minute: requests that make a service work, and all others.
    rateLimit: number("RATE_LIMIT", 60, 1, 1_000_000),
    rateLimitReads: number("RATE_LIMIT_READS", 600, 1, 10_000_000),
    // Proxies of one's own in front of this one: so many addresses at the end of X-Forwarded-For are believed.
    trustedHops: number("TRUSTED_HOPS", 0, 0, 10),
    maxBodyBytes: number("MAX_BODY_BYTES", 50_000_000, 1, 10_000_000_000),
    mostInFlight: number("MOST_IN_FLIGHT", 256, 1, 100_000),
    requestTimeoutMs: number("REQUEST_TIMEOUT_S", 60, 1, 3600) * 1000,
    answerTimeoutMs: number("ANSWER_TIMEOUT_S", 65, 1, 3600) * 1000,
    maxRssBytes: number("MAX_RSS_MB", 220, 50, 1_000_000) * 1_000_000,
    logLevel: levels[level],
  };
}
