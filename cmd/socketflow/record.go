package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"go.opentelemetry.io/collector/confmap"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/socketflow/socketflow/internal/recording"
	"github.com/socketflow/socketflow/receiver"
)

const mebibyte = 1 << 20

// record records until ctx ends.
func record(ctx context.Context, args []string, stderr io.Writer) (err error) {
	flags := flag.NewFlagSet("socketflow record", flag.ContinueOnError)
	flags.SetOutput(stderr)
	path := flags.String("o", "", "the file to write, which must not exist; required")
	payload := flags.String("payload", string(recording.PayloadHeads), "none, heads (of HTTP/1, without secrets) or all (with everything that is in it)")
	keepNames := flags.Bool("keep-names", false, "keep names of programs, users, containers and files, and paths of URLs as spans have them")
	keepAddresses := flags.Bool("keep-addresses", false, "keep addresses")
	ports := flags.String("port", "", "observe only these ports, local or remote, such as 80,8000-8999; all by default")
	mode := flags.String("mode", "auto", "the receiver's key mode: auto, socket or syscall")
	length := flags.Duration("for", 0, "how long; 0 is until Ctrl-C")
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
	cfg, err := configuration(*mode, *ports)
	if err != nil {
		return complain(stderr, "%v", err)
	}
	file, err := os.OpenFile(*path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("-o: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	options := recording.Options{Payload: choice, KeepNames: *keepNames, KeepAddresses: *keepAddresses, Bytes: *most * mebibyte}
	if *length > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, *length)
		defer cancel()
	}
	return recordTo(ctx, cfg, file, options, stderr)
}

func recordTo(ctx context.Context, cfg *receiver.Config, file io.Writer, options recording.Options, stderr io.Writer) error {
	writer, err := recording.NewWriter(file, options)
	if err != nil {
		return err
	}
	report := func(format string, args ...any) { _, _ = fmt.Fprintf(stderr, format+"\n", args...) }
	report("The recording will hold:\n  - %s\nIt can be read before it is handed on: zcat FILE. Ctrl-C ends it.", strings.Join(options.Holds(), "\n  - "))
	spans, err := receiver.Record(ctx, cfg, programVersion(), writer, logger(stderr))
	err = errors.Join(err, writer.Close())
	stats := writer.Stats()
	report("%d events, %d spans, %d bytes of payload; %d bytes left out by -payload.", stats.Events, spans, stats.PayloadBytes, stats.PayloadLeftOut)
	if stats.LeftOut > 0 {
		report("The limit was reached: %d items are missing at the end.", stats.LeftOut)
	}
	if stats.AddressesFolded > 0 {
		report("There were too many addresses: %d times one has the replacement of another.", stats.AddressesFolded)
	}
	return err
}

// configuration is the receiver's default one, with the mode and the ports of the flags.
func configuration(mode, ports string) (*receiver.Config, error) {
	cfg := receiver.NewFactory().CreateDefaultConfig().(*receiver.Config)
	keys := map[string]any{"mode": mode}
	if ports != "" {
		var include []any
		for _, port := range strings.Split(ports, ",") {
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
