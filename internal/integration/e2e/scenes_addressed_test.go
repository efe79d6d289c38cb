//go:build e2e && linux

package e2e

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/socketflow/socketflow/internal/testenv"
)

func init() {
	sources["behind"] = struct{ dir, build string }{"grpc", "go build -o OUTPUT ./behind"}
	protocolScenes = append(protocolScenes, struct {
		name string
		play func(*scene)
	}{"socks", socks})
}

const haproxyConfig = `
global
	maxconn 100
defaults
	mode tcp
	timeout connect 10s
	timeout client 60s
	timeout server 60s
listen front
	bind 127.0.0.1:%d
	server behind 127.0.0.1:%d %s
`

const proxiedNginx = `
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
		listen 127.0.0.1:%d proxy_protocol;
		return 200 "hello\n";
	}
}
`

// TestProxiesNameTheClient has HAProxy say who a connection is for (the PROXY protocol, by the HAProxy project). The spans of the server
// behind it name that client.
func TestProxiesNameTheClient(t *testing.T) {
	builder := newBuilder(t)
	b := runBothModes(t)
	for _, server := range []struct {
		name string
		run  func(s *scene, port int) (pid func() int)
	}{
		{"nginx", func(s *scene, port int) func() int {
			prefix := openDir(s.t)
			file := writeFile(s.t, filepath.Join(prefix, "nginx.conf"), fmt.Sprintf(proxiedNginx, port))
			binary := testenv.NeedProgram(s.t, "nginx-light", "nginx", "/usr/sbin/nginx")
			nginx := s.start("server", exec.Command(binary, "-e", "stderr", "-p", prefix, "-c", file))
			nginx.awaitListening(port)
			return func() int {
				require.Len(s.t, nginx.children(), 1)
				return nginx.children()[0]
			}
		}},
		{"go", func(s *scene, port int) func() int {
			return s.serve(s.command("behind ADDRESS", "127.0.0.1", port), port).pid
		}},
	} {
		for _, version := range []string{"send-proxy", "send-proxy-v2"} {
			t.Run(server.name+" "+version, func(t *testing.T) {
				s := newScene(t, builder, "addressed-"+server.name)
				front, behind := freePort(t), freePort(t)
				pid := server.run(s, behind)
				config := writeFile(t, filepath.Join(openDir(t), "haproxy.cfg"), fmt.Sprintf(haproxyConfig, front, behind, version))
				haproxy := s.start("proxy", exec.Command(testenv.NeedProgram(t, "haproxy", "haproxy", "/usr/sbin/haproxy"), "-db", "-f", config))
				haproxy.awaitListening(front)
				clients := map[accountEnd]int{} // requests
				for range 3 {
					a := s.curl(front, []string{"/a", "/b", "/c", "/d"})
					asked, err := s.accountsOf(a)
					require.NoError(t, err)
					for _, x := range asked {
						clients[x.Local]++
					}
				}
				require.Len(t, clients, 3)
				for i, c := range b.modes {
					emitted := map[accountEnd]int{}
					eventually(t, 10*time.Second, "the requests are emitted in "+comparedModes[i]+" mode", func() error {
						clear(emitted)
						n := 0
						for _, span := range c.of(t, map[int]bool{pid(): true}) {
							if span.request() && span.kind == ptrace.SpanKindServer {
								emitted[accountEnd{span.text("client.address"), uint16(span.number("client.port"))}]++
								n++
							}
						}
						if n < 12 {
							return fmt.Errorf("%d of 12", n)
						}
						return nil
					})
					assert.Equal(t, clients, emitted, comparedModes[i])
				}
			})
		}
	}
	b.modes[0].finish(t)
}

// socks has curls ask a proxy for connections (RFC 1928), and send requests over them.
func socks(s *scene) {
	binary := testenv.NeedProgram(s.t, "microsocks", "microsocks")
	proxyPort, port := freePort(s.t), freePort(s.t)
	server := s.serve(s.command("gohttp server ADDRESS", "127.0.0.1", port), port)
	proxy := s.start("proxy", exec.Command(binary, "-i", "127.0.0.1", "-p", fmt.Sprint(proxyPort)))
	proxy.known = []account{}
	proxy.awaitListening(proxyPort)
	s.mirror(server, proxy.pid(), proxy.service)
	for round := range 4 {
		a := s.curl(port, s.tunnelTargets(fmt.Sprint("socks", round), 5), "--socks5", loopback(proxyPort), "--noproxy", "")
		s.mirror(a, proxy.pid(), proxy.service)
	}
}
