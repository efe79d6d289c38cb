// A service with OpenTelemetry's SDK and its instrumentation of node:http: relay.js HOST:PORT [NEXT]. It passes each request on to the address NEXT, if
// there is one. It writes the SDK's spans to standard output, one a line.
'use strict';
const { SpanKind } = require('@opentelemetry/api');
const { registerInstrumentations } = require('@opentelemetry/instrumentation');
const { HttpInstrumentation } = require('@opentelemetry/instrumentation-http');
const { NodeTracerProvider, SimpleSpanProcessor } = require('@opentelemetry/sdk-trace-node');

const exporter = {
  export(spans, done) {
    for (const span of spans) {
      const { traceId, spanId } = span.spanContext();
      console.log(JSON.stringify({
        trace: traceId, span: spanId, parent: span.parentSpanContext ? span.parentSpanContext.spanId : '', kind: SpanKind[span.kind],
        path: span.attributes['http.target'] || span.attributes['url.path'] || new URL(span.attributes['url.full'] || span.attributes['http.url']).pathname,
      }));
    }
    done({ code: 0 });
  },
  shutdown: () => Promise.resolve(),
};
new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }).register();
registerInstrumentations({ instrumentations: [new HttpInstrumentation()] });

const http = require('node:http');
const [address, next] = process.argv.slice(2);
const agent = new http.Agent({ keepAlive: true });

const server = http.createServer((request, response) => {
  if (!next) {
    response.end('end');
    return;
  }
  http.get(`http://${next}${request.url}`, { agent }, (answer) => answer.pipe(response)).on('error', (error) => response.destroy(error));
});
const colon = address.lastIndexOf(':');
server.listen(Number(address.slice(colon + 1)), address.slice(0, colon));
