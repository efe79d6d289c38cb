//go:build e2e && linux

package e2e

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
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
CREATE ROLE app LOGIN PASSWORD 'LITERAL';
SELECT repeat('LITERAL', 1000) FROM generate_series(1, 500);
WITH x AS (SELECT * FROM typed) SELECT count(*) FROM x;
SELECT pg_sleep(0.2) AS slow;
`

const postgresOperation = "db.operation.name"

// postgresTexts are some of what is emitted.
var postgresTexts = []string{
	"INSERT INTO typed VALUES (?)", "SELECT * FROM typed WHERE name = ?", "UPDATE typed SET name = ? WHERE id = ?", "CREATE ROLE app LOGIN PASSWORD ?",
	"SELECT id, name FROM pgx_1 WHERE id >= $1 AND name = ? LIMIT ?", "UPDATE pgbench_accounts SET abalance = abalance + $1 WHERE aid = $2;",
}

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
	access := writeFile(t, filepath.Join(openDir(t), "hba.conf"), "host all app 127.0.0.1/32 scram-sha-256\nlocal all all trust\nhost all,replication all 127.0.0.1/32 trust\n")
	server, port := startPostgres(t, "log_statement=all", "log_min_duration_statement=100", "log_replication_commands=on", "max_connections=50", "log_line_prefix=%m [%p] %e ", "hba_file="+access)
	bin := filepath.Dir(testenv.NeedProgram(t, "postgresql-client", "/usr/lib/postgresql/*/bin/psql"))
	run := func(role, program, stdin, password string, arguments ...string) *actor {
		arguments = append([]string{"--host", "127.0.0.1", "--port", strconv.Itoa(port), "--username", "postgres"}, arguments...)
		cmd := exec.Command(filepath.Join(bin, program), arguments...)
		cmd.Stdin = strings.NewReader(stdin)
		s.environment = []string{"PGPASSWORD=" + password}
		return s.start(role, cmd)
	}
	lines := func(text string) string { return strings.ReplaceAll(text, "LITERAL", postgresLiteral) }
	client := func(role, program, stdin string, arguments ...string) string {
		a := run(role, program, lines(stdin), postgresLiteral, arguments...)
		require.Zero(t, a.wait(60*time.Second), readFile(t, a.stderr))
		return readFile(t, a.stdout)
	}
	require.Contains(t, client("typed", "psql", postgresLines, "--no-psqlrc"), postgresLiteral)
	require.Contains(t, client("app", "psql", "SELECT 6 * 7", "--no-psqlrc", "--username", "app", "postgres"), "42")
	require.NotZero(t, run("refused", "psql", "", "wrong-"+postgresLiteral, "--username", "app", "postgres").wait(60*time.Second))
	client("initialise", "pgbench", "", "--initialize", "--quiet", "postgres")
	for _, mode := range []string{"simple", "extended", "prepared"} {
		client(mode, "pgbench", "", "--protocol", mode, "--client", "4", "--transactions", "50", "--no-vacuum", "postgres")
	}
	script := writeFile(t, filepath.Join(openDir(t), "pipelined.sql"), lines(pipelinedScript))
	for _, mode := range []string{"extended", "prepared"} {
		client("pipelined", "pgbench", "", "--protocol", mode, "--client", "4", "--transactions", "50", "--no-vacuum", "--file", script, "postgres")
	}
	client("replica", "pg_basebackup", "", "--pgdata", filepath.Join(t.TempDir(), "copy"), "--checkpoint", "fast", "--wal-method", "stream")
	client("local", "psql", "SELECT 1 AS over_unix", "--no-psqlrc", "--host", server.cmd.Dir)
	behind := postgresBouncer(s, port)
	before := loggedStatements(readFile(t, server.stderr))
	for _, mode := range []string{"simple", "extended"} {
		client("bounced", "pgbench", "", "--port", strconv.Itoa(behind), "--protocol", mode, "--client", "8", "--transactions", "20", "--no-vacuum", "postgres")
	}
	bounced := loggedStatements(readFile(t, server.stderr))
	for operation, n := range before {
		bounced[operation] -= n
	}
	maps.DeleteFunc(bounced, func(operation string, n int) bool { return n == 0 || operation == "SET" }) // SET is PgBouncer's own
	done := s.start("pgx", exec.Command(builder.path(t, "postgres"), fmt.Sprintf("host=127.0.0.1 port=%d user=postgres", port), postgresLiteral))
	require.Zero(t, done.wait(60*time.Second), readFile(t, done.stderr))

	want := loggedStatements(readFile(t, server.stderr))
	want["CANCEL"]++
	want[""]++       // the login that was refused
	want["SELECT"]-- // over a Unix socket
	t.Log(want, bounced)
	failures := map[string]int{}
	for _, match := range loggedError.FindAllStringSubmatch(readFile(t, server.stderr), -1) {
		failures[match[1]]++
	}
	kinds := []ptrace.SpanKind{ptrace.SpanKindClient, ptrace.SpanKindServer}
	// What is missing after some time is said below.
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		complete := true
		for _, c := range b.modes {
			for _, kind := range kinds {
				complete = complete && maps.Equal(want, c.postgres(t, kind, port, postgresOperation)) && maps.Equal(bounced, c.postgres(t, kind, behind, postgresOperation))
			}
		}
		if complete {
			break
		}
	}
	b.modes[0].finish(t)
	for i, c := range b.modes {
		for _, kind := range kinds {
			assert.Equal(t, want, c.postgres(t, kind, port, postgresOperation), "%s mode, %s", comparedModes[i], kind)
			assert.Equal(t, bounced, c.postgres(t, kind, behind, postgresOperation), "%s mode, %s, at PgBouncer", comparedModes[i], kind)
			found := c.postgres(t, kind, port, "db.response.status_code")
			delete(found, "") // without an error
			assert.Equal(t, failures, found, "%s mode, %s, errors", comparedModes[i], kind)
			assert.Equal(t, 1, c.postgres(t, kind, -1, "db.query.text")["SELECT ? AS over_unix"], "%s mode, %s", comparedModes[i], kind)
			requireDuration(t, comparedModes[i]+" mode, "+kind.String(), postgresSlow(t, server), c.postgresSlow(t, kind, port))
			for _, text := range postgresTexts {
				assert.Contains(t, c.postgres(t, kind, port, "db.query.text"), text, "%s mode, %s", comparedModes[i], kind)
			}
		}
	}
	b.requireSecret(t, postgresLiteral)
}

// postgresSlowLine is what the log says of the slow statement: the process, and later how long it has taken.
var postgresSlowLine = regexp.MustCompile(`\[(\d+)\] \w+ LOG:  statement: SELECT pg_sleep\(0\.2\) AS slow;`)

// postgresSlow is how long the slow statement has taken by the server's log.
func postgresSlow(t testing.TB, server *program) time.Duration {
	t.Helper()
	log := readFile(t, server.stderr)
	at := postgresSlowLine.FindStringSubmatchIndex(log)
	require.NotNil(t, at)
	match := regexp.MustCompile(`\[` + log[at[2]:at[3]] + `\] \w+ LOG:  duration: ([0-9.]+) ms`).FindStringSubmatch(log[at[1]:])
	require.NotNil(t, match, log[at[1]:])
	own, err := time.ParseDuration(match[1] + "ms")
	require.NoError(t, err)
	return own
}

// postgresSlow is how long its span is.
func (c *requestCollector) postgresSlow(t testing.TB, kind ptrace.SpanKind, port int) (d time.Duration) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, span := range c.traces.all(t) {
		if span.kind == kind && span.text("db.query.text") == "SELECT pg_sleep(?) AS slow" && span.number(postgresPorts[kind]) == port {
			d = span.ended.Sub(span.began)
		}
	}
	return d
}

// postgresPorts are the attributes with the server's port, by the end.
var postgresPorts = map[ptrace.SpanKind]string{ptrace.SpanKindClient: "network.peer.port", ptrace.SpanKindServer: "network.local.port"}

// postgres counts the spans of PostgreSQL at an end of connections to a port, -1: over Unix sockets, by the value of an attribute.
func (c *requestCollector) postgres(t testing.TB, kind ptrace.SpanKind, port int, attribute string) map[string]int {
	t.Helper()
	at := postgresPorts[kind]
	found := map[string]int{}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, span := range c.traces.all(t) {
		if span.text("db.system.name") == "postgresql" && span.kind == kind && span.number(at) == port {
			found[span.text(attribute)]++
		}
	}
	return found
}

// TestPostgresStatementsTLS is TestPostgresStatements over TLS, which begins behind the client's question for it.
func TestPostgresStatementsTLS(t *testing.T) {
	include := `[{executable: "/usr/lib/postgresql/**"}]`
	c := runRequestCollector(t, strings.Replace(withRing("16MiB", "1s"), "socketflow:\n", "socketflow:\n    include: "+include+"\n", 1))
	over := newSecure(t)
	over.awaitShared(c)
	s := newScene(t, newBuilder(t), "postgres-tls")
	owner, err := user.Lookup("postgres")
	require.NoError(t, err)
	key := writeFile(t, filepath.Join(openDir(t), "server.key"), readFile(t, over.key)) // it has to be the server's own
	require.NoError(t, os.Chown(key, int(atoi(t, owner.Uid)), int(atoi(t, owner.Gid))))
	require.NoError(t, os.Chmod(key, 0o600))
	server, port := startPostgres(t, "log_statement=all", "ssl=on", "ssl_key_file="+key, "ssl_cert_file="+over.certificate)
	bin := filepath.Dir(testenv.NeedProgram(t, "postgresql-client", "/usr/lib/postgresql/*/bin/psql"))
	client := func(program, stdin string, arguments ...string) {
		s.environment = []string{"PGSSLMODE=require"}
		cmd := exec.Command(filepath.Join(bin, program), append([]string{"--host", "127.0.0.1", "--port", strconv.Itoa(port), "--username", "postgres"}, arguments...)...)
		cmd.Stdin = strings.NewReader(stdin)
		a := s.start(program, cmd)
		require.Zero(t, a.wait(60*time.Second), readFile(t, a.stderr))
	}
	client("psql", strings.ReplaceAll(postgresLines, "LITERAL", postgresLiteral), "--no-psqlrc")
	client("pgbench", "", "--initialize", "--quiet", "postgres")
	client("pgbench", "", "--protocol", "prepared", "--client", "4", "--transactions", "50", "--no-vacuum", "postgres")

	want := loggedStatements(readFile(t, server.stderr))
	complete := func() bool {
		return maps.Equal(want, c.postgres(t, ptrace.SpanKindClient, port, postgresOperation)) && maps.Equal(want, c.postgres(t, ptrace.SpanKindServer, port, postgresOperation))
	}
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end) && !complete(); { // what is missing then is said below
		time.Sleep(50 * time.Millisecond)
	}
	c.finish(t)
	for _, kind := range []ptrace.SpanKind{ptrace.SpanKindClient, ptrace.SpanKindServer} {
		assert.Equal(t, want, c.postgres(t, kind, port, postgresOperation), "%s", kind)
	}
	c.requireSecret(t, postgresLiteral)
}

// TestPostgresOnOlderConnections joins a conversation: what was prepared before is not known, and is not taken for what was prepared later.
func TestPostgresOnOlderConnections(t *testing.T) {
	builder := newBuilder(t)
	_, port := startPostgres(t)
	cmd := exec.Command(builder.path(t, "postgres"), fmt.Sprintf("host=127.0.0.1 port=%d user=postgres", port), postgresLiteral, "older")
	input := pipe(t, cmd)
	client := start(t, cmd)
	eventually(t, 20*time.Second, "the client is ready", func() error {
		if out := readFile(t, client.stdout); !strings.Contains(out, "ready") {
			return fmt.Errorf("it says %q", out)
		}
		return nil
	})
	c := runRequestCollector(t, withRing("16MiB", "1s"))
	require.NoError(t, input.Close())
	require.Zero(t, client.wait(30*time.Second), readFile(t, client.stderr))
	want := map[string]int{"": 10, "SELECT name FROM pg_settings WHERE $1 = ?": 5}
	kinds := []ptrace.SpanKind{ptrace.SpanKindClient, ptrace.SpanKindServer}
	complete := func() bool {
		return maps.Equal(want, c.postgres(t, kinds[0], port, "db.query.text")) && maps.Equal(want, c.postgres(t, kinds[1], port, "db.query.text"))
	}
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end) && !complete(); { // what is missing then is said below
		time.Sleep(50 * time.Millisecond)
	}
	c.finish(t)
	for _, kind := range kinds {
		assert.Equal(t, want, c.postgres(t, kind, port, "db.query.text"), "%s", kind)
		assert.Equal(t, map[string]int{"UPDATE": 10, "SELECT": 5}, c.postgres(t, kind, port, postgresOperation), "%s", kind)
		assert.Equal(t, map[string]int{"joined_midstream": 15}, c.postgres(t, kind, port, "socketflow.capture"), "%s", kind)
	}
	t.Run("losses", func(t *testing.T) { postgresWithLoss(t, builder, port) })
}

// postgresBouncer runs PgBouncer before a database, with fewer connections to it than clients have, and returns its port.
func postgresBouncer(s *scene, database int) (port int) {
	const config = `
[databases]
* = host=127.0.0.1 port=%d user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 3
server_check_query =
`
	port = freePort(s.t)
	file := writeFile(s.t, filepath.Join(openDir(s.t), "pgbouncer.ini"), fmt.Sprintf(config, database, port))
	owner, err := user.Lookup("postgres") // it refuses to run as root
	require.NoError(s.t, err)
	cmd := exec.Command(testenv.NeedProgram(s.t, "pgbouncer", "pgbouncer", "/usr/sbin/pgbouncer"), file)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: atoi(s.t, owner.Uid), Gid: atoi(s.t, owner.Gid)}}
	s.serve(cmd, port)
	return port
}

// loggedError is the SQLSTATE of an error.
var loggedError = regexp.MustCompile(`(?m)\] (\w{5}) (?:ERROR|FATAL):`)

// loggedStatement is a line of log_statement=all. A statement of several lines has tabs before the others.
var loggedStatement = regexp.MustCompile(`(?m)LOG:  (?:statement|execute [^:]+|received replication command): ((?:.*\n\t)*.*)$`)

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
