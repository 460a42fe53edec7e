// node src/main.js: one public door for the services. docs/GATEWAY.md explains the variables.

import { build } from "./app.js";
import { load, SettingsError } from "./settings.js";

const LAST_ANSWERS_MS = 30_000;

async function main() {
  const settings = load();
  const app = await build(settings);
  await app.listen({ host: settings.host, port: settings.port });
  const observer = settings.metricsPort === null ? null : await app.metrics.listen(settings.host, settings.metricsPort, settings.metricsKey);
  const { services } = settings;
  app.log.info({ address: app.listeningOrigin, services: Object.keys(services).filter((name) => services[name]) }, "listening");

  let ending = false;
  for (const signal of ["SIGTERM", "SIGINT"]) {
    process.on(signal, async () => {
      if (ending) process.exit(1);
      ending = true;
      setTimeout(() => process.exit(1), LAST_ANSWERS_MS).unref();
      observer?.close();
      await app.close();
      process.exit(0);
    });
  }
}

main().catch((error) => {
  const known = error instanceof SettingsError || error.code === "EADDRINUSE" || error.code === "EACCES";
  console.error(known ? `error: ${error.message}` : error);
  process.exit(2);
});
