package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"go.opentelemetry.io/collector/confmap"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/socketflow/socketflow/internal/ports"
	"github.com/socketflow/socketflow/internal/recording"
	"github.com/socketflow/socketflow/receiver"
)

const mebibyte = 1 << 20

// record records until ctx ends.
func record(ctx context.Context, args []string, stderr io.Writer) error {
	flags := flag.NewFlagSet("socketflow record", flag.ContinueOnError)
	flags.SetOutput(stderr)
	path := flags.String("o", "", "the file to write, which must not exist; required")
	payload := flags.String("payload", string(recording.PayloadHeads), "none, heads (of HTTP/1, without secrets) or all (with everything that is in it)")
	keepNames := flags.Bool("keep-names", false, "keep names of programs, users, containers and files, and paths of URLs as spans have them")
	keepAddresses := flags.Bool("keep-addresses", false, "keep addresses")
	portList := flags.String("port", "", "observe only these ports, local or remote, such as 80,8000-8999; all by default")
	mode := flags.String("mode", "auto", "the receiver's key mode: auto, socket or syscall")
	length := flags.Duration("for", 0, "how long, from when it watches; 0 is until Ctrl-C")
	most := flags.Int64("limit", 256, "end at so many MiB, before compression")
	if err := parse(flags, args); err != nil {
		return err
	}
	choice, wrong := recording.ParsePayload(*payload)
	switch {
	case flags.NArg() > 0:
		return complain(stderr, "record takes flags only, not %q", flags.Arg(0))
	case *path == "":
		return complain(stderr, "write where to: socketflow record -o x.sfr")
	case wrong != nil:
		return complain(stderr, "-%v", wrong)
	case *length < 0 || *most < 1 || *most > recording.MaxBytes/mebibyte:
		return complain(stderr, "-for must not be negative, and -limit be 1 to %d", int64(recording.MaxBytes/mebibyte))
	}
	cfg, err := configuration(*mode, *portList)
	if err != nil {
		return complain(stderr, "%v", err)
	}
	file, err := os.OpenFile(*path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	switch {
	case errors.Is(err, fs.ErrExist):
		return fmt.Errorf("-o: %s exists; write another name", *path)
	case err != nil:
		return fmt.Errorf("-o: %w", err)
	}
	options := recording.Options{Payload: choice, KeepNames: *keepNames, KeepAddresses: *keepAddresses, Bytes: *most * mebibyte}
	begun, err := recordTo(ctx, cfg, *length, file, options, stderr)
	err = errors.Join(err, file.Close())
	if !begun { // the next attempt can have the name
		err = errors.Join(err, os.Remove(*path))
	}
	return err
}

// recordTo reports whether there is a recording.
func recordTo(ctx context.Context, cfg *receiver.Config, length time.Duration, file io.Writer, options recording.Options, stderr io.Writer) (begun bool, err error) {
	writer, err := recording.NewWriter(file, options)
	if err != nil {
		return false, err
	}
	report := func(format string, args ...any) { _, _ = fmt.Fprintf(stderr, format+"\n", args...) }
	report("The recording will hold:\n  - %s\nIt can be read before it is handed on: zcat FILE. Ctrl-C ends it.", strings.Join(options.Holds(), "\n  - "))
	spans, err := receiver.Record(ctx, cfg, programVersion(), length, writer, logger(stderr))
	err = errors.Join(err, writer.Close())
	if !writer.Begun() {
		return false, err
	}
	totals := writer.Totals()
	report("%d events, %d spans, %d bytes of payload; %d bytes left out by -payload.", totals.Events, spans, totals.PayloadBytes, totals.PayloadLeftOut)
	reportLosses(report, &totals)
	return true, err
}

// reportLosses says what a recording lacks.
func reportLosses(report func(format string, args ...any), t *recording.Totals) {
	if t.LeftOut > 0 {
		report("The limit was reached: %d items are missing at the end.", t.LeftOut)
	}
	if t.Unhandled {
		report("Time was up: the last events that the kernel had handed over are missing.")
	}
	if t.Dropped > 0 {
		report("%d events are missing, because there were more at a time than a recording can take: -port observes less.", t.Dropped)
	}
	if t.AddressesFolded > 0 {
		report("There were too many addresses: %d times one has the replacement of another.", t.AddressesFolded)
	}
}

// configuration is the receiver's default one, with the mode and the ports of the flags.
func configuration(mode, portList string) (*receiver.Config, error) {
	cfg := receiver.NewFactory().CreateDefaultConfig().(*receiver.Config)
	keys := map[string]any{"mode": mode}
	if portList != "" {
		var include []any
		for port := range strings.SplitSeq(portList, ",") {
			if _, ok := ports.Parse(port); !ok {
				return nil, fmt.Errorf("-port: %q is no port; write ports from 1 to 65535 and ranges of them, as in 80,8000-8999", port)
			}
			include = append(include, map[string]any{"local_port": port}, map[string]any{"remote_port": port})
		}
		keys["include"] = include
	}
	if err := confmap.NewFromStringMap(keys).Unmarshal(cfg); err != nil {
		return nil, err
	}
	return cfg, cfg.Validate()
}

// logger prints what the receiver logs: when it begins to see, and what this host does not let be seen.
func logger(to io.Writer) *zap.Logger {
	encoding := zapcore.EncoderConfig{MessageKey: "message", LevelKey: "level", EncodeLevel: zapcore.LowercaseLevelEncoder, EncodeDuration: zapcore.StringDurationEncoder}
	return zap.New(zapcore.NewCore(zapcore.NewConsoleEncoder(encoding), zapcore.AddSync(to), zapcore.InfoLevel))
}
