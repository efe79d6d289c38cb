//go:build e2e && linux

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/socketflow/socketflow/internal/testenv"
)

// protocolScenes are how real programs use protocols upon each other: tunnels, upgrades, connections in reverse.
var protocolScenes = []struct {
	name string
	play func(*scene)
}{
	{"tunnel-curl", tunnelCurl},
	{"tunnel-undici", tunnelUndici},
	{"upgrade-nghttpx", upgradeNghttpx},
	{"upgrade-asks", upgradeHijacked("asks")},
	{"upgrade-body", upgradeHijacked("body")},
	{"upgrade-joined", upgradeHijacked("joined")},
	{"upgrade-serves", upgradeHijacked("serves")},
	{"reverse", reverse("1.1")},
	{"reverse-h2c", reverse("2")},
}

// TestScenes plays scenes one by one before a collector that observes in both modes: each request is emitted once for the process
// that made it and once for the one that answered it, as both accounts say, and nothing else is emitted.
//
// One of them: go test -run 'TestScenes//^reverse$'.
func TestScenes(t *testing.T) {
	builder := newBuilder(t)
	c := runBothModes(t)
	scenes := make([]*scene, len(protocolScenes))
	accounts := make([][]account, len(protocolScenes))
	t.Run("play", func(t *testing.T) {
		for i, w := range protocolScenes {
			t.Run(w.name, func(t *testing.T) {
				s := newScene(t, builder, w.name)
				w.play(s)
				accounts[i] = s.accounts()
				for _, mode := range c.modes {
					mode.await(s, accounts[i])
				}
				scenes[i] = s
			})
		}
	})
	lost := c.modes[0].finish(t)
	for j, mode := range c.modes {
		t.Run(comparedModes[j], func(t *testing.T) {
			var table comparisons
			for i, w := range protocolScenes {
				t.Run(w.name, func(t *testing.T) {
					if scenes[i] == nil {
						t.Fatal("it has not been played to its end")
					}
					v := lost.compare(w.name, accounts[i], mode.of(t, scenes[i].processes(accounts[i])))
					table = append(table, v)
					v.requireExact(t)
				})
			}
			t.Log(table)
		})
	}
}

// bothModes is a collector that observes everything in both modes, and writes the spans of each to a file of its own.
type bothModes struct {
	*collector
	modes [len(comparedModes)]*requestCollector
}

// runBothModes starts it. The receivers may be given more keys, one to a line.
func runBothModes(t testing.TB, keys ...string) *bothModes {
	t.Helper()
	var receivers, exporters, pipelines strings.Builder
	for _, mode := range comparedModes {
		name := strings.NewReplacer("MODE", mode)
		_, _ = name.WriteString(&receivers, "\n  socketflow/as-MODE:\n    mode: MODE\n    ring_buffer:\n      size: 16MiB")
		for _, key := range keys {
			receivers.WriteString("\n    " + key)
		}
		_, _ = name.WriteString(&exporters, "\n  file/MODE:\n    path: traces-MODE.jsonl\n    flush_interval: 100ms")
		_, _ = name.WriteString(&pipelines, "\n    traces/MODE:\n      receivers: [socketflow/as-MODE]\n      exporters: [file/MODE]")
	}
	c := runCollector(t, "receivers:"+receivers.String()+"\nexporters:"+exporters.String()+"\nservice:\n  pipelines:"+pipelines.String()+"\n",
		collectorOptions{})
	b := &bothModes{collector: c}
	for i, mode := range comparedModes {
		path := filepath.Join(c.cmd.Dir, "traces-"+mode+".jsonl")
		b.modes[i] = &requestCollector{collector: c, mode: mode, traces: jsonLines[requestSpan]{path: path, parse: parseRequestSpans}}
	}
	return b
}

// npm is a command of a program that uses packages of npm. Those of its folder are installed once.
func (s *scene) npm(folder string, words ...string) *exec.Cmd {
	s.t.Helper()
	b := s.builder
	b.mu.Lock()
	defer b.mu.Unlock()
	dir := filepath.Join(b.dir, folder)
	if !b.built[folder] {
		require.NoError(s.t, os.CopyFS(dir, os.DirFS(filepath.Join(programsDir, folder))))
		cmd := exec.Command(testenv.NeedProgram(s.t, "npm", "npm"), "ci", "--ignore-scripts", "--no-audit", "--no-fund")
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		require.NoError(s.t, err, "%s", out)
		b.built[folder] = true
	}
	words[0] = filepath.Join(dir, words[0])
	return exec.Command(testenv.NeedProgram(s.t, "nodejs", "node"), words...)
}
