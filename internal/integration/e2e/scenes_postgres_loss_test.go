//go:build e2e && linux

package e2e

import (
	"fmt"
	"io"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// postgresWithLoss lets a collector with little room for payload stop for a while, in which the names of prepared statements stand for
// others. The nth statement returns n rows: a span that says that it is complete has the statement that was executed.
func postgresWithLoss(t *testing.T, builder *builder, port int) {
	cmd := exec.Command(builder.path(t, "postgres"), fmt.Sprintf("host=127.0.0.1 port=%d user=postgres", port), postgresLiteral, "flood")
	c := runRequestCollector(t, withRing("128KiB", "200ms"))
	input := pipe(t, cmd)
	client := start(t, cmd)
	says := func(what string, times int) {
		eventually(t, 60*time.Second, what, func() error {
			if n := strings.Count(readFile(t, client.stdout), what+"\n"); n < times {
				return fmt.Errorf("%d times, %s", n, readFile(t, client.stderr))
			}
			return nil
		})
	}
	signal := func(s syscall.Signal) { require.NoError(t, c.cmd.Process.Signal(s)) }
	says("ready", 1)
	for i := range 3 {
		if i == 1 {
			signal(syscall.SIGSTOP)
		}
		_, err := io.WriteString(input, "more\n")
		require.NoError(t, err)
		says("done", i+1)
		signal(syscall.SIGCONT)
	}
	require.NoError(t, input.Close())
	require.Zero(t, client.wait(30*time.Second), readFile(t, client.stderr))
	lost := c.finish(t)
	require.Positive(t, lost.captures, "calls whose data were lost, or else this has shown nothing")

	executed := map[string]int{}
	for line := range strings.Lines(readFile(t, client.stdout)) {
		var statement, n int
		if _, err := fmt.Sscan(line, &statement, &n); err == nil {
			executed[fmt.Sprint(statement)] = n
		}
	}
	for _, kind := range []ptrace.SpanKind{ptrace.SpanKindClient, ptrace.SpanKindServer} {
		c.requireFlooded(t, kind, port, executed)
	}
}

var postgresNumbered = regexp.MustCompile(`AS statement_(\d+) `)

// requireFlooded compares the executions at an end with how often each statement was executed, and with the rows that it has.
func (c *requestCollector) requireFlooded(t *testing.T, kind ptrace.SpanKind, port int, executed map[string]int) {
	t.Helper()
	found, known, complete, all := map[string]int{}, 0, 0, 0
	for _, span := range c.traces.all(t) {
		rows := span.number("db.response.returned_rows")
		if span.text("db.system.name") != "postgresql" || span.kind != kind || span.number(postgresPorts[kind]) != port || span.text(postgresOperation) != "SELECT" {
			continue
		}
		all++
		match := postgresNumbered.FindStringSubmatch(span.text("db.query.text"))
		if match == nil {
			continue
		}
		found[match[1]]++
		known++
		if span.text("socketflow.capture") == "complete" {
			complete++
			assert.Equal(t, match[1], fmt.Sprint(rows), "rows of a statement at the %s, whose span says that it is complete", kind)
		}
	}
	sum := 0
	for statement, n := range found {
		assert.LessOrEqual(t, n, executed[statement], "executions of statement %s at the %s", statement, kind)
	}
	for _, n := range executed {
		sum += n
	}
	t.Logf("%s: %d executions, %d spans, %d with a statement, %d of them complete", kind, sum, all, known, complete)
	assert.Positive(t, complete)
	assert.LessOrEqual(t, all, sum)
}
