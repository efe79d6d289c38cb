//go:build !linux || !(amd64 || arm64)

package receiver

import (
	"context"
	"fmt"
	"runtime"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/receiver"

	"github.com/socketflow/socketflow/internal/kernel"
)

// nowhere is the engine of the systems that cannot be observed.
type nowhere struct{}

func newEngine(*Config, receiver.Settings, consumer.Traces, consumer.Logs) (engine, error) {
	return nowhere{}, nil
}

func (nowhere) start(context.Context, component.Host) error {
	return fmt.Errorf("%w: it runs %s on %s, and socketflow needs Linux 5.15 or newer with BTF on amd64 or arm64; "+
		"run this collector there, or set on_unsupported: warn to run it here without observing anything",
		kernel.ErrUnsupported, runtime.GOOS, runtime.GOARCH)
}

func (nowhere) shutdown(context.Context) error { return nil }
