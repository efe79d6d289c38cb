package main

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/socketflow/socketflow/internal/kernel"
	"github.com/socketflow/socketflow/internal/preflight"
)

func TestWrongArguments(t *testing.T) {
	for _, args := range [][]string{{"--mode=kprobes"}, {"--verbose"}, {"socket"}} {
		var out, errs bytes.Buffer
		assert.Equal(t, exitUsage, run(args, &out, &errs), args)
		assert.Empty(t, out.String())
		assert.NotEmpty(t, errs.String())
	}
}

func TestVersion(t *testing.T) {
	var out, errs bytes.Buffer
	ask := func() string {
		out.Reset()
		assert.Equal(t, exitStarts, run([]string{"--version"}, &out, &errs))
		assert.Empty(t, errs.String())
		return out.String()
	}
	assert.Regexp(t, `^socketflow-check \S+ \w+/\w+\n$`, ask(), "of a build that nobody has released")
	t.Cleanup(func() { version = "" })
	version = "v1.2.3"
	assert.Regexp(t, `^socketflow-check v1\.2\.3 \w+/\w+\n$`, ask())
}

// TestExitCode: the exit code agrees with both forms of the report, whatever this host allows.
func TestExitCode(t *testing.T) {
	var out, errs bytes.Buffer
	code := run([]string{"--json", "--mode=socket"}, &out, &errs)
	require.Empty(t, errs.String())
	var report preflight.Report
	require.NoError(t, json.Unmarshal(out.Bytes(), &report), out.String())
	assert.Equal(t, report.Starts, code == exitStarts)
	assert.Equal(t, kernel.ModeSocket, report.Asked)
	assert.NotEmpty(t, report.Host)

	out.Reset()
	assert.Equal(t, code, run([]string{"--mode=socket"}, &out, &errs))
	last := "The receiver would not start with mode socket.\n"
	if report.Starts {
		last = "The receiver would start: mode socket is socket.\n"
	}
	assert.Contains(t, out.String(), last)
}

// TestProcesses: they are listed if that is asked for.
func TestProcesses(t *testing.T) {
	var out, errs bytes.Buffer
	run([]string{"--json", "--mode=syscall", "--processes"}, &out, &errs)
	require.Empty(t, errs.String())
	var report preflight.Report
	require.NoError(t, json.Unmarshal(out.Bytes(), &report), out.String())
	assert.NotNil(t, report.Processes)

	out.Reset()
	run([]string{"--json", "--mode=syscall"}, &out, &errs)
	assert.NotContains(t, out.String(), `"processes"`)
}
