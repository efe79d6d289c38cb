// Package receiver is the OpenTelemetry Collector receiver "socketflow": it shows the collector the engine behind it, which
// watches the sockets of a Linux host.
package receiver

//go:generate go tool -modfile=../internal/tools/go.mod mdatagen metadata.yaml
