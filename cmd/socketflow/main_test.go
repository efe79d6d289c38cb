package main

import (
	"bytes"
	"context"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/socketflow/socketflow/exporter/console"
)

var update = flag.Bool("update", false, "write what replays print now as what is expected")

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	time.Local = time.UTC // the console's zone
	os.Exit(m.Run())
}

// TestRecordingsReplayAsEver replays each recording of the corpus. A new one is a file more: `socketflow record`, and then this test with -update.
func TestRecordingsReplayAsEver(t *testing.T) {
	files, err := filepath.Glob("../../testdata/recordings/*.sfr")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, path := range files {
		t.Run(filepath.Base(path), func(t *testing.T) {
			file, err := os.Open(path)
			require.NoError(t, err)
			defer func() { assert.NoError(t, file.Close()) }()
			printed := filepath.Join(t.TempDir(), "printed")
			cfg := consoleOf(console.ConnectionsAll)
			cfg.Path, cfg.Summary, cfg.Color = printed, false, console.ColorNever
			of, err := replayToConsole(t.Context(), file, cfg)
			require.NoError(t, err)
			assert.False(t, of.Cut)
			got, err := os.ReadFile(printed)
			require.NoError(t, err)
			expected := strings.TrimSuffix(path, ".sfr") + ".txt"
			if *update {
				require.NoError(t, os.WriteFile(expected, got, 0o600))
			}
			want, err := os.ReadFile(expected)
			require.NoError(t, err)
			assert.Equal(t, string(want), string(got))
		})
	}
}

func TestACutRecordingIsReplayedAsFarAsItGoes(t *testing.T) {
	whole, err := os.ReadFile("../../testdata/recordings/http-heads.sfr")
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "cut.sfr")
	require.NoError(t, os.WriteFile(path, whole[:len(whole)-len(whole)/8], 0o600))
	var stdout, stderr bytes.Buffer
	assert.Equal(t, exitDone, run(t.Context(), []string{"replay", path, "-json"}, &stdout, &stderr))
	assert.Contains(t, stdout.String(), `"http.request.method"`)
	assert.Contains(t, stderr.String(), "The end of the recording is missing")
}

func TestArguments(t *testing.T) {
	directory := t.TempDir()
	noRecording := filepath.Join(directory, "none")
	require.NoError(t, os.WriteFile(noRecording, []byte("text"), 0o600))
	for name, c := range map[string]struct {
		args []string
		code int
		says string
	}{
		"none":              {nil, exitUsage, "socketflow record -o"},
		"help":              {[]string{"--help"}, exitDone, "socketflow record -o"},
		"version":           {[]string{"version"}, exitDone, "socketflow "},
		"another command":   {[]string{"watch"}, exitUsage, "socketflow replay"},
		"no file":           {[]string{"record"}, exitUsage, "record -o x.sfr"},
		"a file that is":    {[]string{"record", "-o", noRecording}, exitFailed, noRecording + " exists; write another name"},
		"no payload":        {[]string{"record", "-o", "x", "-payload", "some"}, exitUsage, "none, heads or all"},
		"no port":           {[]string{"record", "-o", "x", "-port", "http"}, exitUsage, `-port: "http" is no port; write`},
		"no mode":           {[]string{"record", "-o", "x", "-mode", "fast"}, exitUsage, "mode"},
		"a limit of zero":   {[]string{"record", "-o", "x", "-limit", "0"}, exitUsage, "-limit"},
		"no recording":      {[]string{"replay"}, exitUsage, "replay x.sfr"},
		"two recordings":    {[]string{"replay", noRecording, "-json", noRecording}, exitUsage, "replay x.sfr"},
		"no flag behind it": {[]string{"replay", noRecording, "-xml"}, exitUsage, "-xml"},
		"what is none":      {[]string{"replay", noRecording}, exitFailed, noRecording + ": no recording"},
		"what is not there": {[]string{"replay", filepath.Join(directory, "x")}, exitFailed, "no such file"},
		"no connections":    {[]string{"replay", "-connections", "some", noRecording}, exitUsage, "connections"},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			assert.Equal(t, c.code, run(ctx, c.args, &out, &out))
			assert.Contains(t, out.String(), c.says)
		})
	}
}
