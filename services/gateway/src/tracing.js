// Traces, where OTEL_EXPORTER_OTLP_ENDPOINT names a collector: a span for each request, whose id the service goes on with.
// OpenTelemetry's packages are imported only then.

const QUEUED = 2048;
const EVERY_MS = 1_000;
// A collector that hangs costs this much of memory's patience, and none of a request's.
const EXPORT_MS = 2_000;
const METHODS = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]);
// What carries a trace from one service to the next.
export const CARRIERS = ["traceparent", "tracestate", "baggage"];

/** Whether one of our own proxies sent the request: what a stranger says of traces is not believed. */
export const fromOurProxy = (request) => (request.ips?.length ?? 0) > 1;

/**
 * @param {{tracesUrl: string | null}} settings
 * @returns {Promise<null | {begin: Function, headers: Function, end: Function, close: () => Promise<void>}>}
 */
export async function tracing({ tracesUrl }) {
  if (!tracesUrl) return null;
  const [{ ROOT_CONTEXT, SpanKind, SpanStatusCode, trace }, { W3CTraceContextPropagator }, { OTLPTraceExporter }, { resourceFromAttributes, defaultResource }, sdk] = await Promise.all([
    import("@opentelemetry/api"), import("@opentelemetry/core"), import("@opentelemetry/exporter-trace-otlp-proto"),
    import("@opentelemetry/resources"), import("@opentelemetry/sdk-trace-base"),
  ]);
  const exporter = new OTLPTraceExporter({ url: tracesUrl, timeoutMillis: EXPORT_MS });
  const processor = new sdk.BatchSpanProcessor(exporter, { maxQueueSize: QUEUED, scheduledDelayMillis: EVERY_MS, exportTimeoutMillis: EXPORT_MS });
  const resource = defaultResource().merge(resourceFromAttributes({ "service.name": "purrdict-gateway" }));
  const provider = new sdk.BasicTracerProvider({ resource, spanProcessors: [processor] });
  const tracer = provider.getTracer("purrdict-gateway");
  const propagator = new W3CTraceContextPropagator();
  const getter = { get: (carrier, name) => carrier[name], keys: (carrier) => Object.keys(carrier) };
  const setter = { set: (carrier, name, value) => (carrier[name] = value) };
  const spans = new WeakMap();
  return {
    /** Begins the span of a request; returns the id of its trace. */
    begin(request, service) {
      const parent = fromOurProxy(request) ? propagator.extract(ROOT_CONTEXT, request.headers, getter) : ROOT_CONTEXT;
      const method = METHODS.has(request.method) ? request.method : "_OTHER";
      const span = tracer.startSpan(`${method} ${service}`, {
        kind: SpanKind.SERVER,
        attributes: { "http.request.method": method, "purrdict.service": service, "purrdict.request_id": request.id },
      }, parent);
      spans.set(request, span);
      return span.spanContext().traceId;
    },
    /** What the service is sent, so that its spans become part of this trace. */
    headers(request) {
      const carrier = {};
      propagator.inject(trace.setSpan(ROOT_CONTEXT, spans.get(request)), carrier, setter);
      return carrier;
    },
    end(request, status) {
      const span = spans.get(request);
      span?.setAttribute("http.response.status_code", status);
      if (status >= 500) span?.setStatus({ code: SpanStatusCode.ERROR });
      span?.end();
    },
    /** Sends what waits still, for as long as the collector takes it. */
    close: () => provider.shutdown().catch(() => {}),
  };
}
