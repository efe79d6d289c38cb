// Package console is the OpenTelemetry Collector exporter "console": it prints a line for each request and each connection, in order of
// time, for a person who watches a terminal.
package console

//go:generate go tool -modfile=../../internal/tools/go.mod mdatagen metadata.yaml
