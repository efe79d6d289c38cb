// Command otelgo has OpenTelemetry's SDK and its instrumentation of net/http:
//
//	otelgo client ADDRESS REQUESTS TOGETHER
//	otelgo relay ADDRESS NEXT
//
// The client sends so many requests, so many at a time. The relay passes each request on. Both write the SDK's spans to standard output, one a line. If
// OTEL_EXPORTER_OTLP_ENDPOINT is set, they export them there, too.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"sync"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	sdk "go.opentelemetry.io/otel/sdk/trace"
)

func main() {
	options := []sdk.TracerProviderOption{sdk.WithSyncer(&exporter{to: json.NewEncoder(os.Stdout)})}
	if os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") != "" {
		exporter, err := otlptracehttp.New(context.Background())
		check(err)
		options = append(options, sdk.WithSyncer(exporter))
	}
	otel.SetTracerProvider(sdk.NewTracerProvider(options...))
	otel.SetTextMapPropagator(propagation.TraceContext{})
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 100
	client := &http.Client{Transport: otelhttp.NewTransport(transport)}
	switch os.Args[1] {
	case "client":
		ask(client, os.Args[2], number(os.Args[3]), number(os.Args[4]))
	case "relay":
		relay(client, os.Args[2], os.Args[3])
	}
}

func number(text string) int {
	n, err := strconv.Atoi(text)
	check(err)
	return n
}

func ask(client *http.Client, address string, requests, together int) {
	next := make(chan int)
	var all sync.WaitGroup
	for range together {
		all.Go(func() {
			for n := range next {
				_, err := get(context.Background(), client, fmt.Sprintf("http://%s/sdk/%d", address, n))
				check(err)
			}
		})
	}
	for n := range requests {
		next <- n
	}
	close(next)
	all.Wait()
}

func relay(client *http.Client, address, next string) {
	handler := func(w http.ResponseWriter, r *http.Request) {
		text, err := get(r.Context(), client, "http://"+next+r.URL.Path)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		_, _ = w.Write(text)
	}
	server := http.Server{Addr: address, Handler: otelhttp.NewHandler(http.HandlerFunc(handler), "relay"), ReadHeaderTimeout: time.Minute}
	check(server.ListenAndServe())
}

func get(ctx context.Context, client *http.Client, from string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return nil, err
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close() //nolint:errcheck // read only
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", from, response.Status)
	}
	return io.ReadAll(response.Body)
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// exporter writes spans.
type exporter struct {
	mu sync.Mutex
	to *json.Encoder
}

// ExportSpans implements sdk.SpanExporter.
func (e *exporter) ExportSpans(_ context.Context, spans []sdk.ReadOnlySpan) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, s := range spans {
		line := map[string]string{
			"trace": s.SpanContext().TraceID().String(), "span": s.SpanContext().SpanID().String(), "kind": s.SpanKind().String(), "path": pathOf(s),
		}
		if s.Parent().SpanID().IsValid() {
			line["parent"] = s.Parent().SpanID().String()
		}
		if err := e.to.Encode(line); err != nil {
			return err
		}
	}
	return nil
}

// pathOf is the path of a span's request.
func pathOf(s sdk.ReadOnlySpan) string {
	for _, a := range s.Attributes() {
		switch a.Key {
		case "url.path", "http.target":
			return a.Value.AsString()
		case "url.full", "http.url":
			if u, err := url.Parse(a.Value.AsString()); err == nil {
				return u.Path
			}
		}
	}
	return ""
}

// Shutdown implements sdk.SpanExporter.
func (e *exporter) Shutdown(context.Context) error { return nil }
