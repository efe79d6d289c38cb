//go:build e2e && linux

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/socketflow/socketflow/internal/testenv"
)

// startNginx runs nginx on a port of 127.0.0.1 and ::1, with all of its files in one directory.
func startNginx(t testing.TB) (nginx *program, port int) {
	t.Helper()
	const config = `
daemon off;
pid nginx.pid;
worker_processes 1;
error_log stderr;
events { worker_connections 64; }
http {
	access_log off;
	client_body_temp_path body;
	proxy_temp_path proxy;
	fastcgi_temp_path fastcgi;
	uwsgi_temp_path uwsgi;
	scgi_temp_path scgi;
	server {
		listen 127.0.0.1:%[1]d;
		listen [::1]:%[1]d;
		return 200 "hello\n";
	}
}
`
	binary := testenv.NeedProgram(t, "nginx-light", "nginx", "/usr/sbin/nginx")
	port = freePort(t)
	prefix := openDir(t)
	file := writeFile(t, filepath.Join(prefix, "nginx.conf"), fmt.Sprintf(config, port))
	nginx = start(t, exec.Command(binary, "-e", "stderr", "-p", prefix, "-c", file))
	nginx.waitListening(port)
	eventually(t, 10*time.Second, "nginx has a worker", func() error {
		if n := len(nginx.children()); n != 1 {
			return fmt.Errorf("%d workers", n)
		}
		return nil
	})
	return nginx, port
}

// needPython finds the interpreter itself: python3 may be a script that looks for it.
func needPython(t testing.TB) string {
	t.Helper()
	shim := testenv.NeedProgram(t, "python3", "/usr/bin/python3", "python3")
	out, err := exec.Command(shim, "-c", "import os, sys; print(os.path.realpath(sys.executable))").Output()
	require.NoError(t, err)
	return strings.TrimSpace(string(out))
}

// slowAnswer is how long the Python server takes to answer.
const slowAnswer = 250 * time.Millisecond

// startPython runs a web server that waits for a moment before it answers.
func startPython(t testing.TB) (server *program, port int) {
	t.Helper()
	const script = `
import http.server, sys, time
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        time.sleep(float(sys.argv[2]))
        self.send_response(200)
        self.send_header("Content-Length", "6")
        self.end_headers()
        self.wfile.write(b"hello\n")
    def log_message(self, *arguments):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
`
	port = freePort(t)
	server = start(t, exec.Command(needPython(t), "-c", script, strconv.Itoa(port), fmt.Sprint(slowAnswer.Seconds())))
	server.waitListening(port)
	return server, port
}

// runPythonClient makes a request to a web server, as a service with a name.
func runPythonClient(t testing.TB, port int, env ...string) *program {
	t.Helper()
	const script = `
import http.client, sys
connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]))
connection.request("GET", "/")
assert connection.getresponse().read() == b"hello\n"
connection.close()
`
	cmd := exec.Command(needPython(t), "-c", script, strconv.Itoa(port))
	cmd.Env = quiet(t.TempDir(), env...)
	client, _ := output(t, cmd)
	require.Zero(t, client.cmd.ProcessState.ExitCode(), readFile(t, client.stderr))
	return client
}

// transfer is curl's own report of its connection.
type transfer struct {
	*program
	localIP, remoteIP     string
	localPort, remotePort int
	sent, received        int
	took                  time.Duration
}

// runCurl requests /. A refused connection is no failure.
func runCurl(t testing.TB, host string, port int) transfer {
	t.Helper()
	const format = `%{local_ip} %{local_port} %{remote_ip} %{remote_port} %{size_request} %{size_header} %{size_download}\n`
	// -q first: no configuration of the user's.
	cmd := exec.Command(testenv.NeedProgram(t, "curl", "curl"), "-q", "--noproxy", "*", "--silent", "--max-time", "20",
		"--output", "/dev/null", "--write-out", format, fmt.Sprintf("http://%s:%d/", host, port))
	curl, text := output(t, cmd)
	x := transfer{program: curl, took: time.Since(curl.began), remotePort: port}
	if curl.cmd.ProcessState.ExitCode() != 0 {
		return x
	}
	var header, body int
	_, err := fmt.Sscan(text, &x.localIP, &x.localPort, &x.remoteIP, &x.remotePort, &x.sent, &header, &body)
	require.NoError(t, err, text)
	x.received = header + body
	return x
}

// startPostgres runs PostgreSQL, in a directory of its own, on a port of 127.0.0.1, with settings such as log_statement=all.
func startPostgres(t testing.TB, settings ...string) (server *program, port int) {
	t.Helper()
	const debianPackage = "postgresql"
	binary := testenv.NeedProgram(t, debianPackage, "/usr/lib/postgresql/*/bin/postgres")
	owner, err := user.Lookup("postgres") // it refuses to run as root
	if err != nil {
		testenv.Lacking(t, "needs the user postgres: apt-get install %s (%v)", debianPackage, err)
	}
	credential := &syscall.Credential{Uid: atoi(t, owner.Uid), Gid: atoi(t, owner.Gid)}
	dir := openDir(t)
	require.NoError(t, os.Chown(dir, int(credential.Uid), int(credential.Gid)))
	data := filepath.Join(dir, "data")

	initdb := exec.Command(filepath.Join(filepath.Dir(binary), "initdb"),
		"--pgdata", data, "--auth", "trust", "--username", "postgres", "--no-sync", "--no-locale", "--encoding", "UTF8")
	initdb.SysProcAttr = &syscall.SysProcAttr{Credential: credential}
	initdb.Dir = dir
	made, text := output(t, initdb)
	require.Zero(t, made.cmd.ProcessState.ExitCode(), text)

	port = freePort(t)
	cmd := exec.Command(binary, "-D", data, "-p", strconv.Itoa(port), "-h", "127.0.0.1", "-k", dir, "-F")
	for _, setting := range settings {
		cmd.Args = append(cmd.Args, "-c", setting)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: credential}
	cmd.Dir = dir
	server = start(t, cmd)
	eventually(t, 30*time.Second, "PostgreSQL is ready", func() error {
		if log := readFile(t, server.stderr); !strings.Contains(log, "database system is ready to accept connections") {
			return fmt.Errorf("its log: %s", tail(log, 3))
		}
		return nil
	})
	return server, port
}

func runPSQL(t testing.TB, port int) *program {
	t.Helper()
	// Debian's psql is a script that looks for this one.
	binary := testenv.NeedProgram(t, "postgresql-client", "/usr/lib/postgresql/*/bin/psql")
	psql, text := output(t, exec.Command(binary, "--host", "127.0.0.1", "--port", strconv.Itoa(port), "--username", "postgres",
		"--no-psqlrc", "--tuples-only", "--no-align", "--command", "select 6 * 7"))
	require.Equal(t, "42\n", text, readFile(t, psql.stderr))
	return psql
}

func atoi(t testing.TB, text string) uint32 {
	t.Helper()
	n, err := strconv.ParseUint(text, 10, 32)
	require.NoError(t, err)
	return uint32(n)
}
