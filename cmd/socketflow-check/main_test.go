package main

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

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

// TestExitCode: it is what both forms of the report say, whatever this host allows.
func TestExitCode(t *testing.T) {
	var out, errs bytes.Buffer
	code := run([]string{"--json", "--mode=socket"}, &out, &errs)
	require.Empty(t, errs.String())
	var report preflight.Report
	require.NoError(t, json.Unmarshal(out.Bytes(), &report), out.String())
	assert.Equal(t, report.Starts, code == exitStarts)
	assert.Equal(t, preflight.Socket, report.Asked)
	assert.NotEmpty(t, report.Host)

	out.Reset()
	assert.Equal(t, code, run([]string{"--mode=socket"}, &out, &errs))
	last := "The receiver would not start with mode socket.\n"
	if report.Starts {
		last = "The receiver would start: mode socket is socket.\n"
	}
	assert.Contains(t, out.String(), last)
}
