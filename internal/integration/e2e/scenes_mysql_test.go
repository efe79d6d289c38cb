//go:build e2e && linux

package e2e

import (
	"errors"
	"io"
	"maps"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
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
	sources["mysql"] = struct{ dir, build string }{"mysql", "go build -o OUTPUT ."}
}

// mysqlPassword, and literals, must be in no telemetry.
const mysqlPassword = "correct-horse-battery-staple"

const mysqlScript = `CREATE TABLE typed (a INT PRIMARY KEY, b TEXT);
INSERT INTO typed VALUES (1, 'literal'), (2, "literal");
SELECT b FROM typed WHERE b = 'literal' /* literal */;
SELECT x FROM typed;
PREPARE s FROM 'SELECT b FROM typed WHERE a = ?';
SET @a = 1;
EXECUTE s USING @a;
CREATE DATABASE other;
USE other;
SELECT DATABASE();
USE shop;
UPDATE typed SET b = REPEAT('literal', 200000) WHERE a = 1;
SELECT b FROM typed;
SELECT SLEEP(0.2) AS slow;
`

// startMariaDB runs MariaDB, with a log of all commands, on a port of 127.0.0.1.
func startMariaDB(t testing.TB, s *scene, options ...string) (server *actor, port int, log string) {
	t.Helper()
	const debianPackage = "mariadb-server"
	binary := testenv.NeedProgram(t, debianPackage, "mariadbd", "/usr/sbin/mariadbd")
	dir := openDir(t)
	data, log := filepath.Join(dir, "data"), filepath.Join(dir, "general.log")
	made, text := output(t, exec.Command(testenv.NeedProgram(t, debianPackage, "mariadb-install-db"), "--no-defaults", "--user=root", "--datadir="+data,
		"--auth-root-authentication-method=normal", "--skip-test-db"))
	require.Zero(t, made.cmd.ProcessState.ExitCode(), text)
	start := writeFile(t, filepath.Join(dir, "start.sql"), "CREATE DATABASE shop;\nCREATE USER shop IDENTIFIED BY '"+mysqlPassword+"';\nGRANT ALL ON *.* TO shop;\n")
	port = freePort(t)
	server = s.serve(exec.Command(binary, append([]string{"--no-defaults", "--user=root", "--datadir=" + data, "--port=" + strconv.Itoa(port), "--bind-address=127.0.0.1", "--skip-name-resolve",
		"--socket=" + filepath.Join(dir, "socket"), "--pid-file=" + filepath.Join(dir, "pid"), "--init-file=" + start, "--general-log", "--general-log-file=" + log,
		"--slow-query-log", "--long-query-time=0.1", "--slow-query-log-file=" + filepath.Join(dir, "slow.log"),
		"--innodb-flush-log-at-trx-commit=0"}, options...)...), port)
	return server, port, log
}

// TestMySQLCommands compares the spans with the server's own log of commands: each is emitted once at each end.
func TestMySQLCommands(t *testing.T) {
	builder := newBuilder(t)
	b := runBothModes(t)
	s := newScene(t, builder, "mysql")
	server, port, log := startMariaDB(t, s)
	run := func(role string, cmd *exec.Cmd, stdin string) string {
		cmd.Stdin = strings.NewReader(stdin)
		a := s.start(role, cmd)
		require.Zero(t, a.wait(90*time.Second), readFile(t, a.stderr))
		return readFile(t, a.stdout)
	}
	cli := func(stdin string, arguments ...string) string {
		arguments = append([]string{"--no-defaults", "-h", "127.0.0.1", "-P", strconv.Itoa(port), "--protocol=tcp", "-u", "shop", "-p" + mysqlPassword, "--force", "shop"}, arguments...)
		return run("cli", exec.Command(testenv.NeedProgram(t, "mariadb-client", "mariadb"), arguments...), stdin)
	}
	require.Contains(t, cli(mysqlScript), "literal")
	cli("SELECT 'literal' FROM typed;\n", "--compress")
	run("go", s.command("mysql ADDRESS "+mysqlPassword, "127.0.0.1", port), "")
	run("node", s.npm("mysql2", "statements.js", "127.0.0.1", strconv.Itoa(port), mysqlPassword), "")

	clients := map[int]bool{}
	for _, a := range s.actors[1:] {
		clients[a.pid()] = true
	}
	ends := mysqlEnds(clients, server)
	want := mysqlCounts(readFile(t, log))
	want["COM_PING"] = 2                                         // which are not logged
	want["COM_STMT_PREPARE"]--                                   // what SQL itself prepares, and executes, is logged twice
	want["SELECT"], want["BATCH SELECT"] = want["SELECT"]-1-1, 1 // of several statements the first one is logged
	// What is missing after some time is said below.
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		complete := true
		for _, c := range b.modes {
			complete = complete && maps.Equal(want, ends[0].emitted(t, c, "mariadb")) && maps.Equal(want, ends[1].emitted(t, c, "mariadb"))
		}
		if complete {
			break
		}
	}
	b.modes[0].finish(t)
	for i, c := range b.modes {
		for _, end := range ends {
			assert.Equal(t, want, end.emitted(t, c, "mariadb"), "%s mode, %s", comparedModes[i], end.kind)
			requireDuration(t, comparedModes[i]+" mode, "+end.kind.String(), mysqlSlow(t, filepath.Join(filepath.Dir(log), "slow.log")), end.slow(t, c))
		}
	}
	b.requireSecret(t, mysqlPassword, "literal")
}

// mysqlSlowLine is what the slow log says of a statement.
var mysqlSlowLine = regexp.MustCompile(`# Query_time: ([0-9.]+) .*\n(?:#.*\n|use .*\n)*SET timestamp=\d+;\nSELECT SLEEP`)

// mysqlSlow is how long the slow statement has taken by the server's log.
func mysqlSlow(t testing.TB, log string) time.Duration {
	t.Helper()
	match := mysqlSlowLine.FindStringSubmatch(readFile(t, log))
	require.NotNil(t, match, "the slow log has no line for it")
	own, err := time.ParseDuration(match[1] + "s")
	require.NoError(t, err)
	return own
}

// slow is how long its span is.
func (e *mysqlEnd) slow(t testing.TB, c *requestCollector) (d time.Duration) {
	t.Helper()
	for _, span := range c.of(t, e.pids) {
		if span.kind == e.kind && span.text("db.query.text") == "SELECT SLEEP(?) AS slow" {
			d = span.ended.Sub(span.began)
		}
	}
	return d
}

// TestMySQLWithinTLS is TestMySQLCommands for clients that go on in TLS once the server has greeted them.
func TestMySQLWithinTLS(t *testing.T) {
	builder := newBuilder(t)
	over := newSecure(t)
	c := runRequestCollector(t, secureConfig(t, builder))
	over.collector = c
	over.awaitShared(c)
	s := newScene(t, builder, "mysql-tls")
	s.secure = over
	server, port, log := startMariaDB(t, s, "--ssl-cert="+over.certificate, "--ssl-key="+over.key)
	for _, cmd := range []*exec.Cmd{
		s.command("mysql ADDRESS "+mysqlPassword+" tls", "127.0.0.1", port), s.npm("mysql2", "statements.js", "127.0.0.1", strconv.Itoa(port), mysqlPassword, "tls"),
	} {
		s.ask(cmd, []string{"begin"})
	}
	clients := map[int]bool{}
	for _, a := range s.actors[1:] {
		clients[a.pid()] = true
	}
	ends := mysqlEnds(clients, server)
	systems := []string{"mariadb", "mysql"} // not every client shows that it knows MariaDB
	want := mysqlCounts(readFile(t, log))
	want["COM_PING"] = 2
	want["SELECT"], want["BATCH SELECT"] = want["SELECT"]-1, 1
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if maps.Equal(want, ends[0].emitted(t, c, systems...)) && maps.Equal(want, ends[1].emitted(t, c, systems...)) {
			break
		}
	}
	c.finish(t)
	for _, end := range ends {
		assert.Equal(t, want, end.emitted(t, c, systems...), "%s", end.kind)
	}
	c.requireSecret(t, mysqlPassword, "literal")
}

// TestMySQLOnOlderConnections: of a statement that was prepared before the collector ran, its executions are known.
func TestMySQLOnOlderConnections(t *testing.T) {
	builder := newBuilder(t)
	s := newScene(t, builder, "mysql-older")
	server, port, _ := startMariaDB(t, s)
	cmd := s.command("mysql ADDRESS "+mysqlPassword+" older", "127.0.0.1", port)
	input := pipe(t, cmd)
	client := s.start("client", cmd)
	eventually(t, 20*time.Second, "the client is ready", func() error {
		if !strings.Contains(readFile(t, client.stdout), "ready") {
			return errors.New("it is not")
		}
		return nil
	})
	c := runRequestCollector(t, withRing("16MiB", "1s")) // the syscall mode has to look descriptors up, for longer than this takes
	_, err := io.WriteString(input, "begin\n")
	require.NoError(t, err)
	require.Zero(t, client.wait(60*time.Second), readFile(t, client.stderr))
	want := map[string]int{"SELECT": 50 + 1, "COM_STMT_EXECUTE": 50, "COM_STMT_PREPARE": 1, "COM_STMT_CLOSE": 2, "COM_QUIT": 1}
	ends := mysqlEnds(map[int]bool{client.pid(): true}, server)
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if maps.Equal(want, ends[0].emitted(t, c, "mysql")) && maps.Equal(want, ends[1].emitted(t, c, "mysql")) {
			break
		}
	}
	c.finish(t)
	for _, end := range ends {
		assert.Equal(t, want, end.emitted(t, c, "mysql"), "%s", end.kind)
	}
	c.requireSecret(t, mysqlPassword, "literal")
}

// mysqlEnd is one side of connections.
type mysqlEnd struct {
	kind ptrace.SpanKind
	pids map[int]bool
}

func mysqlEnds(clients map[int]bool, server *actor) []mysqlEnd {
	return []mysqlEnd{{ptrace.SpanKindClient, clients}, {ptrace.SpanKindServer, map[int]bool{server.pid(): true}}}
}

// emitted is how many spans of each operation there are.
func (e *mysqlEnd) emitted(t testing.TB, c *requestCollector, systems ...string) map[string]int {
	found := map[string]int{}
	for _, span := range c.of(t, e.pids) {
		if slices.Contains(systems, span.text("db.system.name")) && span.kind == e.kind {
			found[span.text("db.operation.name")]++
		}
	}
	return found
}

// mysqlLine is a line of the server's log, or the beginning of one: a connection's number, a command, and what was executed.
var mysqlLine = regexp.MustCompile(`(?m)^(?:\d{6}[ \t]+\d+:\d+:\d+)?[ \t]+\d+ (Query|Prepare|Execute|Close stmt|Reset stmt|Init DB|Quit|Ping|Statistics|Field List|Change user|Long Data|Reset connection)[ \t]*(\w*)`)

// mysqlNames are the names of commands that execute nothing.
var mysqlNames = map[string]string{
	"Prepare": "COM_STMT_PREPARE", "Close stmt": "COM_STMT_CLOSE", "Reset stmt": "COM_STMT_RESET", "Init DB": "COM_INIT_DB", "Quit": "COM_QUIT", "Ping": "COM_PING",
	"Statistics": "COM_STATISTICS", "Field List": "COM_FIELD_LIST", "Change user": "COM_CHANGE_USER", "Long Data": "COM_STMT_SEND_LONG_DATA", "Reset connection": "COM_RESET_CONNECTION",
}

// mysqlCounts reads the log: how often each operation was executed.
func mysqlCounts(log string) map[string]int {
	counts := map[string]int{}
	for _, match := range mysqlLine.FindAllStringSubmatch(log, -1) {
		name := mysqlNames[match[1]]
		if name == "" {
			name = strings.ToUpper(match[2])
		}
		counts[name]++
	}
	return counts
}
