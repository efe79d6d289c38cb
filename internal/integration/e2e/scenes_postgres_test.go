//go:build e2e && linux

package e2e

import (
	"fmt"
	"maps"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/socketflow/socketflow/internal/testenv"
)

func init() {
	sources["postgres"] = struct{ dir, build string }{"postgres", "go build -o OUTPUT ."}
}

// postgresLiteral is in literals, parameters, rows, a password and a notification. It must be in no telemetry.
const postgresLiteral = "correct-horse-battery-staple"

// postgresLines are typed, one after the other, by a user with a password.
const postgresLines = `CREATE TABLE typed (id int PRIMARY KEY, name text);
INSERT INTO typed VALUES (1, 'LITERAL'), (2, $q$LITERAL$q$), (3, E'\'LITERAL');
SELECT * FROM typed WHERE name = 'LITERAL' /* LITERAL */;
BEGIN\; UPDATE typed SET name = 'LITERAL' WHERE id = 3\; COMMIT;
SELECT 1/0;
SELECT * FROM missing;
COPY typed FROM STDIN;
4	LITERAL
5	LITERAL
\.
COPY typed TO STDOUT;
DO $$ BEGIN RAISE NOTICE 'LITERAL'; END $$;
BEGIN;
DECLARE c CURSOR FOR SELECT * FROM typed;
FETCH 2 FROM c;
ROLLBACK;
PREPARE p (int) AS SELECT name FROM typed WHERE id = $1;
EXECUTE p (4);
LISTEN channel;
NOTIFY channel, 'LITERAL';
CREATE ROLE other PASSWORD 'LITERAL';
SELECT repeat('LITERAL', 1000) FROM generate_series(1, 500);
WITH x AS (SELECT * FROM typed) SELECT count(*) FROM x;
`

// pipelinedScript is a script of pgbench, which sends its statements without waiting for the answers.
const pipelinedScript = `\startpipeline
SELECT abalance FROM pgbench_accounts WHERE aid = 1;
UPDATE pgbench_accounts SET abalance = abalance + 1 WHERE aid = 1;
SELECT 'LITERAL';
\endpipeline
`

// TestPostgresStatements compares the spans with the server's own log of statements: each is emitted once at each end.
func TestPostgresStatements(t *testing.T) {
	builder := newBuilder(t)
	b := runBothModes(t)
	s := newScene(t, builder, "postgres")
	server, port := startPostgres(t, "log_statement=all", "max_connections=50", "password_encryption=scram-sha-256")
	bin := filepath.Dir(testenv.NeedProgram(t, "postgresql-client", "/usr/lib/postgresql/*/bin/psql"))
	lines := func(text string) string { return strings.ReplaceAll(text, "LITERAL", postgresLiteral) }
	client := func(role, program, stdin string, arguments ...string) string {
		arguments = append([]string{"--host", "127.0.0.1", "--port", strconv.Itoa(port), "--username", "postgres"}, arguments...)
		cmd := exec.Command(filepath.Join(bin, program), arguments...)
		cmd.Stdin = strings.NewReader(lines(stdin))
		cmd.Env = append(cmd.Environ(), "PGPASSWORD="+postgresLiteral)
		a := s.start(role, cmd)
		require.Zero(t, a.wait(60*time.Second), readFile(t, a.stderr))
		return readFile(t, a.stdout)
	}
	require.Contains(t, client("typed", "psql", postgresLines, "--no-psqlrc"), postgresLiteral)
	client("initialise", "pgbench", "", "--initialize", "--quiet", "postgres")
	for _, mode := range []string{"simple", "extended", "prepared"} {
		client(mode, "pgbench", "", "--protocol", mode, "--client", "4", "--transactions", "50", "--no-vacuum", "postgres")
	}
	script := writeFile(t, filepath.Join(openDir(t), "pipelined.sql"), lines(pipelinedScript))
	for _, mode := range []string{"extended", "prepared"} {
		client("pipelined", "pgbench", "", "--protocol", mode, "--client", "4", "--transactions", "50", "--no-vacuum", "--file", script, "postgres")
	}
	done := s.start("pgx", exec.Command(builder.path(t, "postgres"), fmt.Sprintf("host=127.0.0.1 port=%d user=postgres", port), postgresLiteral))
	require.Zero(t, done.wait(60*time.Second), readFile(t, done.stderr))

	want := loggedStatements(readFile(t, server.stderr))
	want["CANCEL"]++
	t.Log(want)
	emitted := func(c *requestCollector, kind ptrace.SpanKind) map[string]int {
		found := map[string]int{}
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, span := range c.traces.all(t) {
			at := map[ptrace.SpanKind]string{ptrace.SpanKindClient: "network.peer.port", ptrace.SpanKindServer: "network.local.port"}[kind]
			if span.text("db.system.name") == "postgresql" && span.kind == kind && span.number(at) == port {
				found[span.text("db.operation.name")]++
			}
		}
		return found
	}
	kinds := []ptrace.SpanKind{ptrace.SpanKindClient, ptrace.SpanKindServer}
	// What is missing after some time is said below.
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		complete := true
		for _, c := range b.modes {
			complete = complete && maps.Equal(want, emitted(c, kinds[0])) && maps.Equal(want, emitted(c, kinds[1]))
		}
		if complete {
			break
		}
	}
	b.modes[0].finish(t)
	for i, c := range b.modes {
		for _, kind := range kinds {
			assert.Equal(t, want, emitted(c, kind), "%s mode, %s", comparedModes[i], kind)
		}
		assert.NotContains(t, readFile(t, filepath.Join(b.cmd.Dir, "traces-"+comparedModes[i]+".jsonl")), postgresLiteral)
	}
	assert.NotContains(t, b.log(), postgresLiteral)
}

// loggedStatement is a line of log_statement=all. A statement of several lines has tabs before the others.
var loggedStatement = regexp.MustCompile(`(?m)LOG:  (?:statement|execute [^:]+): ((?:.*\n\t)*.*)$`)

// loggedStatements counts the statements that the server has executed, by command. Several in one query are one line.
func loggedStatements(log string) map[string]int {
	counts := map[string]int{}
	for _, match := range loggedStatement.FindAllStringSubmatch(log, -1) {
		text := match[1]
		if strings.HasPrefix(text, "DO ") {
			text = "DO"
		}
		for _, statement := range strings.Split(text, ";") {
			if words := strings.Fields(statement); len(words) > 0 {
				counts[strings.ToUpper(words[0])]++
			}
		}
	}
	if n := counts["WITH"]; n > 0 { // WITH is no command
		delete(counts, "WITH")
		counts["SELECT"] += n
	}
	return counts
}
