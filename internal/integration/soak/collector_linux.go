package main

import (
	"fmt"
	"path/filepath"

	"github.com/socketflow/socketflow/internal/integration/otelcol"
)

// configuration has a queue that a long stall of the backend fills, so that losses are counted, too.
const configuration = `
receivers:
  socketflow:
    include:
      - executable: %s
      - executable: "**/redis-*"
        local_port: %d
exporters:
  otlp_http:
    endpoint: http://127.0.0.1:%d
    compression: none
    timeout: 5s
    sending_queue: {queue_size: 200, num_consumers: 2}
    retry_on_failure: {initial_interval: 500ms, max_interval: 2s, max_elapsed_time: 60s}
extensions:
  pprof:
    endpoint: 127.0.0.1:%d
service:
  extensions: [pprof]
  telemetry:
    metrics:
      readers:
        - pull:
            exporter:
              prometheus:
                host: 127.0.0.1
                port: %d
                without_type_suffix: true
                without_units: true
                without_scope_info: true
  pipelines:
    traces:
      receivers: [socketflow]
      exporters: [otlp_http]
    logs:
      receivers: [socketflow]
      exporters: [otlp_http]
`

// collector is one process of the collector, from its start to its end.
type collector struct {
	*otelcol.Process
	pprof string // URL
	life  int
}

// startCollector returns when the collector is ready.
func startCollector(s *settings, life int, config string, metrics, pprof int) (*collector, error) {
	log := filepath.Join(s.dir, fmt.Sprintf("collector-%d.log", life))
	process, err := otelcol.Start(s.collector, config, log, fmt.Sprintf("http://%s/metrics", loopback(metrics)))
	return &collector{Process: process, life: life, pprof: fmt.Sprintf("http://%s/debug/pprof/", loopback(pprof))}, err
}
