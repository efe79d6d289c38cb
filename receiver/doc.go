// Package receiver is the OpenTelemetry Collector receiver "socketflow": it makes the engine, which observes the sockets of a Linux
// host, a component of the collector.
package receiver

//go:generate go tool -modfile=../internal/tools/go.mod mdatagen metadata.yaml
//go:generate sed -i -f generated.sed internal/metadata/generated_config.go internal/metadata/generated_config_test.go documentation.md
