package http

import (
	"testing"

	"github.com/socketflow/socketflow/internal/protocol"
)

func TestOTLPIsRecognised(t *testing.T) {
	for _, c := range []struct {
		method, target, contentType string
		want, spans                 bool
	}{
		{"POST", "/opentelemetry.proto.collector.trace.v1.TraceService/Export", "application/grpc", true, true},
		{"POST", "/opentelemetry.proto.collector.logs.v1.LogsService/Export", "application/grpc+proto", true, false},
		{"POST", "/opentelemetry.proto.experimental.arrow.v1.ArrowTracesService/ArrowTraces", "application/grpc", true, true},
		{"POST", "/shop.v1.Shop/Export", "application/grpc", false, false},
		{"POST", "/opentelemetry.prototype.Shop/Export", "application/grpc", false, false},
		{"POST", "/v1/traces", "application/x-protobuf", true, true},
		{"POST", "/v1/metrics", "Application/X-Protobuf ; charset=x", true, false},
		{"POST", "/v1/logs?tenant=1", "application/json", true, false},
		{"POST", "http://jaeger.test:4318/v1/traces", "application/json", true, true},
		{"POST", "/v1development/profiles", "application/x-protobuf", true, false},
		{"POST", "/otlp/v1/traces", "application/x-protobuf", true, true},
		{"POST", "/api/v1/logs", "application/json", false, false},
		{"POST", "/v1/logs", "text/plain", false, false},
		{"POST", "/v1/logs", "", false, false},
		{"POST", "/v1/logs/7", "application/x-protobuf", false, false},
		{"GET", "/v1/traces", "application/json", false, false},
		{"", "", "application/x-protobuf", false, false},
	} {
		keys, err := protocol.NewKeys(Keys(NewConfig()))
		if err != nil {
			t.Fatal(err)
		}
		p := NewPool(&protocol.Settings{Config: NewConfig(), Keys: keys})
		m := p.Get(&protocol.Session{Side: protocol.Server}, &Account{})
		m.SetMethod([]byte(c.method))
		m.SetVersion("2")
		m.SetTarget([]byte(c.target))
		if c.contentType != "" {
			m.RequestHeader([]byte("Content-Type"), []byte(c.contentType))
		}
		var x protocol.Exchange
		x.Telemetry, x.CarriesSpans = !c.want, !c.spans
		if m.Fill(&x); x.Telemetry != c.want || x.CarriesSpans != c.spans {
			t.Errorf("%s %s of %q: %v, spans: %v", c.method, c.target, c.contentType, x.Telemetry, x.CarriesSpans)
		}
	}
}
