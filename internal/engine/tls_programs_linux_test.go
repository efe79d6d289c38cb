//go:build amd64 || arm64

package engine_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/socketflow/socketflow/internal/kernel"
	"github.com/socketflow/socketflow/internal/testenv"
)

// serve runs a server until the test ends, and waits until it listens.
func serve(t *testing.T, cmd *exec.Cmd, port uint16) {
	t.Helper()
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _, _ = cmd.Process.Kill(), cmd.Wait() })
	awaitTrue(t, cmd.Path+" listens", func() bool {
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		return err == nil && c.Close() == nil
	})
}

// servePostgres runs a server with TLS, as the user that may.
func servePostgres(t *testing.T, certFile, keyFile string, port uint16) {
	t.Helper()
	initdb := testenv.NeedProgram(t, "postgresql", "/usr/lib/postgresql/*/bin/initdb")
	as, err := user.Lookup("postgres")
	require.NoError(t, err)
	uid, err := strconv.Atoi(as.Uid)
	require.NoError(t, err)
	gid, err := strconv.Atoi(as.Gid)
	require.NoError(t, err)
	dir := t.TempDir()
	require.NoError(t, os.Chmod(filepath.Dir(dir), 0o755))
	require.NoError(t, os.Chown(dir, uid, gid))
	run := func(program string, arguments ...string) *exec.Cmd {
		cmd := exec.CommandContext(t.Context(), filepath.Join(filepath.Dir(initdb), program), arguments...)
		cmd.Dir = dir
		cmd.Env = []string{"LC_ALL=C"}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
		return cmd
	}
	data := filepath.Join(dir, "data")
	output, err := run("initdb", "-D", data, "-A", "trust", "--no-sync", "-U", "postgres").CombinedOutput()
	require.NoError(t, err, string(output))
	for from, name := range map[string]string{certFile: "server.crt", keyFile: "server.key"} {
		content, err := os.ReadFile(from)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(data, name), content, 0o600))
		require.NoError(t, os.Chown(filepath.Join(data, name), uid, gid))
	}
	serve(t, run("postgres", "-D", data, "-p", fmt.Sprint(port), "-k", dir, "-c", "listen_addresses=127.0.0.1", "-c", "ssl=on", "-c", "fsync=off"), port)
}

// psql asks for TLS within PostgreSQL's protocol: what it says then of TLS is on the records of both ends.
func TestHellosBehindPostgreSQLsRequestAreOnTheRecordsOfBothEnds(t *testing.T) {
	testenv.NeedRoot(t, "loading eBPF programs")
	psql := testenv.NeedProgram(t, "postgresql-client", "psql")
	_, certFile, keyFile := selfSigned(t)
	port := freePort(t)
	servePostgres(t, certFile, keyFile, port)
	for _, mode := range []kernel.Mode{kernel.ModeSocket, kernel.ModeSyscall} {
		t.Run(string(mode), func(t *testing.T) {
			_, sink := startAt(t, mode, port)
			for _, test := range []struct{ options, want string }{
				{"sslmode=require", "tls 1.3 TLS_AES_256_GCM_SHA384 localhost false true"},
				{"sslmode=disable", ""},
			} {
				output, err := exec.CommandContext(t.Context(), psql, "-XAtc", "SELECT 6 * 7",
					fmt.Sprintf("host=localhost hostaddr=127.0.0.1 port=%d user=postgres dbname=postgres %s", port, test.options)).CombinedOutput()
				require.NoError(t, err, string(output))
				client, server := sink.await(t)
				assert.Equal(t, test.want, client, "the client's record of %s", test.options)
				assert.Equal(t, test.want, server, "the server's record of %s", test.options)
			}
		})
	}
}

// redis-cli and redis-server speak TLS from the first byte on.
func TestCommandsOfRedisWithinTLS(t *testing.T) { inBothModes(t, commandsOfRedisWithinTLS) }

func commandsOfRedisWithinTLS(t *testing.T, mode kernel.Mode) {
	server, client := testenv.NeedProgram(t, "redis-server", "redis-server"), testenv.NeedProgram(t, "redis-tools", "redis-cli")
	_, certFile, keyFile := selfSigned(t)
	port := freePort(t)
	serve(t, exec.CommandContext(t.Context(), server, "--bind", "127.0.0.1", "--port", "0", "--tls-port", fmt.Sprint(port), "--save", "", "--dir", t.TempDir(),
		"--tls-cert-file", certFile, "--tls-key-file", keyFile, "--tls-ca-cert-file", certFile, "--tls-auth-clients", "no"), port)
	sink := startWithin(t, mode, map[uint16]string{port: "server"})
	output, err := exec.CommandContext(t.Context(), client, "-h", "127.0.0.1", "-p", fmt.Sprint(port), "--tls", "--insecure", "--sni", "cache.example.com",
		"SET", "key", "value").CombinedOutput()
	require.NoError(t, err, string(output))
	assert.Equal(t, []string{
		"Client SET 1.3 cache.example.com client>server",
		"Server SET 1.3 cache.example.com client>server",
	}, sink.take(t, 2))
}

// A client of OpenSSL sends its request as early data, with the hello of a resumed connection.
func TestRequestInEarlyDataIsSeenAtBothEnds(t *testing.T) {
	inBothModes(t, requestInEarlyDataIsSeenAtBothEnds)
}

func requestInEarlyDataIsSeenAtBothEnds(t *testing.T, mode kernel.Mode) {
	nginx, openssl := testenv.NeedProgram(t, "nginx-light", "nginx", "/usr/sbin/nginx"), testenv.NeedProgram(t, "openssl", "openssl")
	_, certFile, keyFile := selfSigned(t)
	port := freePort(t)
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		return path
	}
	config := file("nginx.conf", fmt.Sprintf(`
daemon off; master_process off; pid %[1]s/pid; error_log stderr;
events {}
http {
	access_log off;
	client_body_temp_path %[1]s/b; proxy_temp_path %[1]s/p; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
	server {
		listen 127.0.0.1:%[2]d ssl;
		ssl_certificate %[3]s; ssl_certificate_key %[4]s; ssl_protocols TLSv1.3; ssl_early_data on;
		location / { return 200; }
	}
}`, dir, port, certFile, keyFile))
	serve(t, exec.CommandContext(t.Context(), nginx, "-c", config), port)
	sink := startWithin(t, mode, map[uint16]string{port: "server"})
	request := func(path, connection string) string {
		return "GET " + path + " HTTP/1.1\r\nHost: shop.example.com\r\nConnection: " + connection + "\r\n\r\n"
	}
	ask := func(last string, options ...string) string {
		arguments := append([]string{"s_client", "-quiet", "-connect", fmt.Sprintf("127.0.0.1:%d", port), "-servername", "shop.example.com"}, options...)
		cmd := exec.CommandContext(t.Context(), openssl, arguments...)
		cmd.Stdin = strings.NewReader(request(last, "close"))
		output, _ := cmd.CombinedOutput() // the server closes
		return string(output)
	}
	session, early := filepath.Join(dir, "session"), file("request", request("/early", "keep-alive"))
	// OpenSSL counts the ticket's age in whole seconds, and takes no early data with one that may be older than it is. s_client does not make
	// such a request again: then it is not answered.
	accepted := false
	for range 5 {
		require.Contains(t, ask("/first", "-sess_out", session), "200 OK")
		if accepted = strings.Count(ask("/last", "-sess_in", session, "-early_data", early), "200 OK") == 2; accepted {
			break
		}
		sink.take(t, 4)
	}
	require.True(t, accepted, "nginx has taken no early data")
	const first, of = " 1.3 shop.example.com client>server", " 1.3 shop.example.com resumed client>server"
	assert.Equal(t, []string{
		"Client GET https /early" + of, "Client GET https /first" + first, "Client GET https /last" + of,
		"Server GET https /early" + of, "Server GET https /first" + first, "Server GET https /last" + of,
	}, sink.take(t, 6))
}

// callsOpenSSL is the beginning of a program in Python that calls OpenSSL as one in C does.
const callsOpenSSL = `
import ctypes
ssl = ctypes.CDLL("libssl.so.3")
crypto = ctypes.CDLL("libcrypto.so.3")
def of(library, name, result, *arguments):
    function = getattr(library, name)
    function.restype, function.argtypes = result, arguments
    return function
pointer, integer = ctypes.c_void_p, ctypes.c_int
context = of(ssl, "SSL_CTX_new", pointer, pointer)(of(ssl, "TLS_client_method", pointer)())
`

// bioClient makes requests by a BIO of libssl's own, as programs do that use BIO_new_ssl_connect.
const bioClient = callsOpenSSL + `
import sys
bio = of(ssl, "BIO_new_ssl_connect", pointer, pointer)(context)
control = of(crypto, "BIO_ctrl", ctypes.c_long, pointer, integer, ctypes.c_long, pointer)
control(bio, 100, 0, ctypes.cast(ctypes.c_char_p(b"127.0.0.1"), pointer)) # BIO_C_SET_CONNECT
control(bio, 100, 1, ctypes.cast(ctypes.c_char_p(sys.argv[1].encode()), pointer))
write = of(crypto, "BIO_write", integer, pointer, ctypes.c_char_p, integer)
read = of(crypto, "BIO_read", integer, pointer, pointer, integer)
buffer = ctypes.create_string_buffer(100000)
for path in sys.argv[2:]:
    request = b"GET %s HTTP/1.1\r\nHost: shop.example.com\r\n\r\n" % path.encode()
    assert write(bio, request, len(request)) == len(request)
    assert read(bio, buffer, len(buffer)) > 0
of(crypto, "BIO_free_all", None, pointer)(bio)
`

func TestRequestsThroughABIOOfTheLibrary(t *testing.T) {
	needWithin(t)
	openssl, python := testenv.NeedProgram(t, "openssl", "openssl"), testenv.NeedProgram(t, "python3", "python3")
	_, certFile, keyFile := selfSigned(t)
	www, echo := freePort(t), freePort(t)
	serve(t, exec.CommandContext(t.Context(), openssl, "s_server", "-accept", fmt.Sprintf("127.0.0.1:%d", www), "-cert", certFile, "-key", keyFile, "-quiet", "-www"), www)
	serve(t, exec.CommandContext(t.Context(), python, "-c", readingServer, fmt.Sprint(echo), certFile, keyFile), echo)
	sink := startWithin(t, kernel.ModeSocket, map[uint16]string{www: "www", echo: "server"})
	sink.captures = true

	client, err := tls.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", www), &tls.Config{InsecureSkipVerify: true, ServerName: "shop.example.com"})
	require.NoError(t, err)
	_, err = io.WriteString(client, "GET /www HTTP/1.0\r\nHost: shop.example.com\r\n\r\n")
	require.NoError(t, err)
	page, err := io.ReadAll(client)
	require.NoError(t, err)
	require.Contains(t, string(page), "200 ok")
	require.NoError(t, client.Close())
	assert.Equal(t, []string{
		"Client GET https /www 1.3 shop.example.com client>www complete", "Server GET https /www 1.3 shop.example.com client>www complete",
	}, sink.take(t, 2), "what the server writes")

	output, err := exec.CommandContext(t.Context(), python, "-c", bioClient, fmt.Sprint(echo), "/one", "/two").CombinedOutput()
	require.NoError(t, err, string(output))
	assert.Equal(t, []string{
		"Client GET https /one 1.3 client>server complete", "Client GET https /two 1.3 client>server complete",
		"Server GET https /one 1.3 client>server complete", "Server GET https /two 1.3 client>server complete",
	}, sink.take(t, 4), "what the client writes")
}

// replacingClient shakes hands on several connections in turn, and gives each of them another BIO before it goes on, as wrk does.
const replacingClient = callsOpenSSL + `
import select, socket, sys
new, set_fd, connect = of(ssl, "SSL_new", pointer, pointer), of(ssl, "SSL_set_fd", integer, pointer, integer), of(ssl, "SSL_connect", integer, pointer)
write = of(ssl, "SSL_write", integer, pointer, ctypes.c_char_p, integer)
read = of(ssl, "SSL_read", integer, pointer, pointer, integer)
memory, new_bio = of(crypto, "BIO_s_mem", pointer)(), of(crypto, "BIO_new", pointer, pointer)
buffer = ctypes.create_string_buffer(100000)
connections = [(new(context), socket.create_connection(("127.0.0.1", int(sys.argv[1])))) for _ in sys.argv[2:]]
for _, s in connections:
    s.setblocking(False)
waiting = list(connections)
while waiting:
    for i, (object, s) in enumerate(waiting):
        assert set_fd(object, s.fileno()) == 1
        if i % 2:
            new_bio(memory) # at the address of the one that was there
    waiting = [(object, s) for object, s in waiting if connect(object) != 1]
    if waiting:
        select.select([s for _, s in waiting], [], [])
for (object, s), path in zip(connections, sys.argv[2:]):
    request = b"GET %s HTTP/1.1\r\nHost: shop.example.com\r\n\r\n" % path.encode()
    assert write(object, request, len(request)) == len(request)
    while read(object, buffer, len(buffer)) <= 0:
        select.select([s], [], [])
`

func TestObjectsThatGetOtherBIOsInTheirHandshake(t *testing.T) {
	inBothModes(t, objectsThatGetOtherBIOs)
}

func objectsThatGetOtherBIOs(t *testing.T, mode kernel.Mode) {
	python := testenv.NeedProgram(t, "python3", "python3")
	_, certFile, keyFile := selfSigned(t)
	port := freePort(t)
	serve(t, exec.CommandContext(t.Context(), python, "-c", readingServer, fmt.Sprint(port), certFile, keyFile), port)
	sink := startWithin(t, mode, map[uint16]string{port: "server"})
	sink.captures = true
	paths := []string{"/1", "/2", "/3", "/4", "/5", "/6"}
	output, err := exec.CommandContext(t.Context(), python, append([]string{"-c", replacingClient, fmt.Sprint(port)}, paths...)...).CombinedOutput()
	require.NoError(t, err, string(output))
	var want []string
	for _, end := range []string{"Client", "Server"} {
		for _, path := range paths {
			want = append(want, end+" GET https "+path+" 1.3 client>server complete")
		}
	}
	assert.Equal(t, want, sink.take(t, len(want)))
}
