//go:build e2e && linux

package e2e

import (
	"fmt"
	"os"
	"os/exec"

	"github.com/stretchr/testify/require"

	"github.com/socketflow/socketflow/internal/testenv"
)

// gnuTLS has the Python programs of a workload do TLS by GnuTLS, in one of the ways of gnutls.py.
func gnuTLS(way string, play func(*scene)) func(*scene) {
	return func(s *scene) {
		s.environment = []string{"TLS_WAY=" + way}
		play(s)
	}
}

// halfClosed has the client of each connection say that it will send no more, and then receive. The server has demanded a second hello.
func halfClosed(s *scene) {
	s.environment = append(s.environment, "TLS_CURVE=secp521r1")
	converse("127.0.0.1", "python3 server.py ADDRESS", "python3 client.py ADDRESS 4", 48)(s)
}

// wget gets everything on one connection. It writes no accounts.
func wget(s *scene) {
	port := freePort(s.t)
	server := s.serve(s.command("python3 server.py ADDRESS", "127.0.0.1", port), port)
	cmd := exec.Command(testenv.NeedProgram(s.t, "wget", "wget"), "--no-check-certificate", "--output-document=/dev/null", "--quiet", "--tries=1")
	for i := range 32 {
		cmd.Args = append(cmd.Args, fmt.Sprintf("https://127.0.0.1:%d/%s/%d?bytes=%d", port, s.name, i, []int{0, 6, 20_000, 300_000}[i%4]))
	}
	client := s.start("client", cmd)
	client.accounts = os.DevNull
	s.mirror(server, client.pid(), client.service)
	require.Zero(s.t, client.wait(60e9), "exit code of wget: %s", readFile(s.t, client.stderr))
}

// gnuTLSServ answers requests in HTTP/1.0, each on a connection of its own. It writes no accounts.
func gnuTLSServ(s *scene) {
	port := freePort(s.t)
	cmd := exec.Command(testenv.NeedProgram(s.t, "gnutls-bin", "gnutls-serv"), "--http", "--quiet", fmt.Sprint("--port=", port),
		"--x509certfile="+s.secure.certificate, "--x509keyfile="+s.secure.key)
	server := s.start("server", cmd)
	server.accounts = os.DevNull
	server.awaitListening(port)
	s.secure.awaitObserved(server)
	var targets []string
	for i := range 16 {
		targets = append(targets, fmt.Sprintf("/%s/%d", s.name, i))
	}
	client := s.curl(port, targets)
	client.parse = func(line []byte) (account, error) {
		a, err := parseCurl(line)
		a.Version = "" // it is that of the response
		return a, err
	}
	s.mirror(client, server.pid(), server.service)
}
