//go:build !linux || !(amd64 || arm64)

package engine

import (
	"context"
	"fmt"
	"runtime"

	"github.com/socketflow/socketflow/internal/kernel"
	"github.com/socketflow/socketflow/internal/recording"
)

// Engine stands for the engine on systems that cannot be observed.
type Engine struct{}

// New returns an engine that does not start.
func New(Options) *Engine { return &Engine{} }

// Start returns the error that this system cannot be observed.
func (*Engine) Start() error {
	return fmt.Errorf("%w: it runs %s on %s, and socketflow needs Linux 5.10 or newer on amd64 or arm64; "+
		"run this collector there, or set on_unsupported: warn to run it here without observing anything",
		kernel.ErrUnsupported, runtime.GOOS, runtime.GOARCH)
}

// Mode and the methods below are for engines that have started, and here none does.
func (*Engine) Mode() (mode kernel.Mode, why error) { return "", nil }

// Attached is nothing.
func (*Engine) Attached() []string { return nil }

// Snapshot is empty.
func (*Engine) Snapshot() Snapshot { return Snapshot{} }

// Drain does nothing.
func (*Engine) Drain(context.Context) (bool, error) { return true, nil }

// Close does nothing.
func (*Engine) Close() error { return nil }

// Replay returns the error that this system is not supported.
func Replay(context.Context, Options, *recording.Reader) (cut bool, err error) {
	return false, fmt.Errorf("%w: a recording is replayed on Linux, on amd64 or arm64", kernel.ErrUnsupported)
}
