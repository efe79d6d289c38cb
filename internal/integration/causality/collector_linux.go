package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/socketflow/socketflow/internal/integration/otelcol"
	"github.com/socketflow/socketflow/internal/integration/sink"
)

// configuration leaves out the load, so that the service's SERVER spans are the roots of the traces.
const configuration = `
receivers:
  socketflow:
    include:
      - local_port: "%[1]d-%[2]d"
      - remote_port: "%[1]d-%[2]d"
    exclude:
      - pid: %[3]d
    connection_records: []
    connection_spans: never
%[4]s
exporters:
  otlp_http:
    endpoint: http://127.0.0.1:%[5]d
    compression: none
service:
  telemetry:
    metrics:
      readers:
        - pull:
            exporter:
              prometheus:
                host: 127.0.0.1
                port: %[6]d
                without_type_suffix: true
                without_units: true
                without_scope_info: true
  pipelines:
    traces:
      receivers: [socketflow]
      exporters: [otlp_http]
`

// observer is the collector, and the backend to which it exports.
type observer struct {
	collector *otelcol.Process
	sink      *sink.Sink
	ledger    *ledger
}

func freePort() (int, error) {
	listener, err := net.Listen("tcp4", loopback(0))
	if err != nil {
		return 0, err
	}
	return listener.Addr().(*net.TCPAddr).Port, listener.Close()
}

// startObserver returns when the collector observes the ports. More are lines of the receiver's configuration, separated by ";".
func startObserver(binary, dir string, observed *ports, more string) (*observer, error) {
	exportPort, err1 := freePort()
	metricsPort, err2 := freePort()
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	o := &observer{ledger: newLedger()}
	o.sink = &sink.Sink{Port: exportPort, Spans: o.ledger.emitted}
	if err := o.sink.Open(); err != nil {
		return nil, err
	}
	var lines strings.Builder
	for line := range strings.SplitSeq(more, ";") {
		fmt.Fprintf(&lines, "    %s\n", strings.TrimSpace(line))
	}
	config := filepath.Join(dir, "collector.yaml")
	text := fmt.Appendf(nil, configuration, observed.first, observed.last(), os.Getpid(), lines.String(), exportPort, metricsPort)
	if err := os.WriteFile(config, text, 0o600); err != nil {
		return nil, err
	}
	var err error
	o.collector, err = otelcol.Start(binary, config, filepath.Join(dir, "collector.log"), fmt.Sprintf("http://%s/metrics", loopback(metricsPort)))
	return o, err
}

// losses are the collector's counters of what was lost since before.
func (o *observer) losses(before otelcol.Counters) (otelcol.Counters, error) {
	all, err := o.collector.Scrape()
	since := otelcol.Counters{}
	for series, value := range all {
		if otelcol.IsLoss(series) && value > before[series] {
			since[series] = value - before[series]
		}
	}
	return since, err
}

func (o *observer) stop() error {
	return errors.Join(o.collector.End(syscall.SIGTERM), o.sink.Close())
}
