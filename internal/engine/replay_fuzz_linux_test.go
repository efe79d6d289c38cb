//go:build amd64 || arm64

package engine_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/socketflow/socketflow/internal/engine"
	"github.com/socketflow/socketflow/internal/fdtrack"
	"github.com/socketflow/socketflow/internal/otlp"
	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/registry"
	"github.com/socketflow/socketflow/internal/recording"
)

// FuzzReplay replays recordings that no program has written: they may come from anybody.
func FuzzReplay(f *testing.F) {
	files, err := filepath.Glob("../../testdata/recordings/*.sfr")
	require.NoError(f, err)
	for _, path := range files {
		file, err := os.ReadFile(path)
		require.NoError(f, err)
		zip, err := gzip.NewReader(bytes.NewReader(file))
		require.NoError(f, err)
		lines, err := io.ReadAll(zip)
		require.NoError(f, err)
		f.Add(lines)
	}
	for _, line := range []string{
		`{"Process":{"PID":1,"ServiceName":"s","ResourceAttributes":[{"Key":"k","Value":"v"},{"Key":"k"}]}}`,
		`{"Event":{"Kind":3,"Flow":{"Transport":2,"Cookie":1,"Unix":{"Local":"/x","Remote":"@y"}}}}`,
		`{"Event":{"Kind":3,"Flow":{"Local":"[fe80::1%eth0]:80"}}}`,
		`{"Totals":{"Events":1,"Dropped":2}}`,
	} {
		f.Add([]byte(`{"Format":1,"Seeds":[[1,2]]}` + "\n" + line + "\n"))
	}
	protocols, err := registry.Configured(registry.Configs(), protocol.Limits{HeadBytes: 1 << 14, Outstanding: 64})
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, lines []byte) {
		var file bytes.Buffer
		zip, err := gzip.NewWriterLevel(&file, gzip.NoCompression)
		require.NoError(t, err)
		_, err = zip.Write(lines)
		require.NoError(t, err)
		require.NoError(t, zip.Close())
		from, err := recording.NewReader(&file)
		if err != nil {
			return
		}
		_, _ = engine.Replay(t.Context(), engine.Options{ // its error is what is expected
			Protocols: protocols, ParserMemory: 1 << 20, CallLimit: 1 << 14, BurstLimit: 1 << 20, Processes: 64, Sockets: 64,
			Waiting: fdtrack.Limits{}.OrDefault(), Telemetry: otlp.Options{Records: otlp.RecordAll, Traces: true, Bounds: otlp.Bounds{Items: 100, Bytes: 1 << 20}},
			Sink: &textSink{}, Logger: zap.NewNop(),
		}, from)
		require.LessOrEqual(t, from.Remembered(), recording.MaxTexts)
	})
}
