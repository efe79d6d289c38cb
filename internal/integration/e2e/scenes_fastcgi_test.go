//go:build e2e && linux

package e2e

import (
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
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
	sources["fastcgi-responder"] = struct{ dir, build string }{"fastcgi", "gcc -O1 -Wall -Wextra -Werror -D_GNU_SOURCE -o OUTPUT responder.c"}
}

// fastcgiSecret is in requests, and must be in no telemetry.
const fastcgiSecret = "correct-horse-battery-staple"

// nginxOfFastCGI hands requests on to PHP-FPM over TCP and over a Unix socket, and to a responder in C on connections that it keeps.
const nginxOfFastCGI = `
daemon off;
user root;
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
	upstream kept { server unix:DIR/c.sock; keepalive 4; }
	server {
		listen 127.0.0.1:LISTEN;
		fastcgi_param SCRIPT_FILENAME PHP;
		fastcgi_param REQUEST_METHOD $request_method;
		fastcgi_param CONTENT_LENGTH $content_length;
		fastcgi_param REQUEST_URI $request_uri;
		fastcgi_param QUERY_STRING $query_string;
		fastcgi_param SCRIPT_NAME /page.php;
		fastcgi_param REMOTE_ADDR $remote_addr;
		fastcgi_param REMOTE_PORT $remote_port;
		location /tcp/ { fastcgi_pass 127.0.0.1:FPM; }
		location /unix/ { fastcgi_pass unix:DIR/fpm.sock; }
		location /c/ { fastcgi_pass kept; fastcgi_keep_conn on; }
	}
	server { listen 127.0.0.1:BACKEND; return 200 "hello\n"; }
}
`

// apacheOfFastCGI hands requests on by mod_proxy_fcgi, to PHP-FPM over TCP and over a Unix socket.
const apacheOfFastCGI = `
LoadModule mpm_event_module MODULES/mod_mpm_event.so
LoadModule authz_core_module MODULES/mod_authz_core.so
LoadModule proxy_module MODULES/mod_proxy.so
LoadModule proxy_fcgi_module MODULES/mod_proxy_fcgi.so
ServerName localhost
Listen 127.0.0.1:APACHE
User www-data
Group www-data
ServerLimit 1
StartServers 1
ThreadsPerChild 8
MaxRequestWorkers 8
DefaultRuntimeDir DIR
PidFile apache.pid
ErrorLog /dev/stderr
ProxyFCGISetEnvIf "true" SCRIPT_FILENAME PHP
ProxyFCGISetEnvIf "true" SCRIPT_NAME /page.php
<Location /apache-tcp/>
	SetHandler "proxy:fcgi://127.0.0.1:FPM"
</Location>
<Location /apache-unix/>
	SetHandler "proxy:unix:DIR/fpm.sock|fcgi://localhost/"
</Location>
`

const fpmConfig = `
[global]
error_log = /dev/stderr
daemonize = no
[tcp]
listen = 127.0.0.1:FPM
user = root
group = root
pm = static
pm.max_children = 1
env[BACKEND] = BACKENDPORT
[unix]
listen = DIR/fpm.sock
listen.mode = 0666
user = root
group = root
pm = static
pm.max_children = 1
env[BACKEND] = BACKENDPORT
`

// fastcgiRequests are the paths that are asked for, with the statuses of the FastCGI responses; 0: it has none.
var fastcgiRequests = map[string]int{
	"/tcp/200": 200, "/tcp/404": 404, "/tcp/500": 500, "/unix/200": 200, "/unix/404": 404, "/unix/503": 503, "/c/a": 200, "/c/b": 200, "/c/busy": 503, "/c/overloaded": 0,
	"/apache-tcp/200": 200, "/apache-tcp/404": 404, "/apache-unix/200": 200, "/apache-unix/503": 503,
}

// fastcgiFronts are the processes that hand requests on.
type fastcgiFronts struct{ nginx, apache int }

func (f fastcgiFronts) of(path string) int {
	if strings.HasPrefix(path, "/apache") {
		return f.apache
	}
	return f.nginx
}

// TestFastCGIRequests: each request has a span at nginx or Apache and one at its responder, in the trace of the HTTP request, and what PHP
// asks hangs below.
func TestFastCGIRequests(t *testing.T) {
	builder := newBuilder(t)
	fpm := testenv.NeedProgram(t, "php-fpm", "php-fpm", "/usr/sbin/php-fpm8.2", "/usr/sbin/php-fpm8.4")
	b := runBothModes(t)
	s := newScene(t, builder, "fastcgi")
	dir, listen, second, backend, fpmPort := openDir(t), freePort(t), freePort(t), freePort(t), freePort(t)
	page, err := filepath.Abs(filepath.Join(programsDir, "fastcgi", "page.php"))
	require.NoError(t, err)
	fill := strings.NewReplacer("DIR", dir, "LISTEN", strconv.Itoa(listen), "BACKENDPORT", strconv.Itoa(backend), "BACKEND;", strconv.Itoa(backend)+";", "FPM", strconv.Itoa(fpmPort), "PHP", page,
		"APACHE", strconv.Itoa(second), "MODULES", "/usr/lib/apache2/modules")
	php := s.start("php", exec.Command(fpm, "--nodaemonize", "--allow-to-run-as-root", "--fpm-config", writeFile(t, filepath.Join(dir, "fpm.conf"), fill.Replace(fpmConfig)), "--prefix", dir))
	php.awaitListening(fpmPort)
	responder := s.start("c", exec.Command(builder.path(t, "fastcgi-responder"), filepath.Join(dir, "c.sock")))
	nginx := s.start("nginx", exec.Command(testenv.NeedProgram(t, "nginx-light", "nginx", "/usr/sbin/nginx"), "-e", "stderr", "-p", dir,
		"-c", writeFile(t, filepath.Join(dir, "nginx.conf"), fill.Replace(nginxOfFastCGI))))
	apache := s.start("apache", exec.Command(testenv.NeedProgram(t, "apache2-bin", "apache2", "/usr/sbin/apache2"), "-D", "FOREGROUND",
		"-f", writeFile(t, filepath.Join(dir, "apache.conf"), fill.Replace(apacheOfFastCGI))))
	nginx.awaitListening(listen, backend)
	apache.awaitListening(second)

	client := &http.Client{Timeout: 20 * time.Second}
	for path := range fastcgiRequests {
		port := listen
		if strings.HasPrefix(path, "/apache") {
			port = second
		}
		request, err := http.NewRequest(http.MethodPost, fmt.Sprintf("http://127.0.0.1:%d%s?password=%s", port, path, fastcgiSecret), strings.NewReader("body"))
		require.NoError(t, err)
		request.Header.Set("Cookie", "session="+fastcgiSecret)
		request.Header.Set("Authorization", "Basic "+fastcgiSecret)
		response, err := client.Do(request)
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, response.Body)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
	}

	workers, threads := nginx.children(), apache.children()
	require.Len(t, workers, 1)
	require.Len(t, threads, 1)
	fronts := fastcgiFronts{workers[0], threads[0]}
	pids := map[int]bool{fronts.nginx: true, fronts.apache: true, responder.pid(): true}
	for _, pid := range php.children() {
		pids[pid] = true
	}
	for i, c := range b.modes {
		eventually(t, 20*time.Second, "spans of "+comparedModes[i]+" mode", func() error {
			if n, want := len(fastcgiSpans(c.of(t, pids), ptrace.SpanKindServer)), len(fastcgiRequests); n < want {
				return fmt.Errorf("%d of %d", n, want)
			}
			return nil
		})
	}
	b.modes[0].finish(t)
	for i, c := range b.modes {
		t.Run(comparedModes[i], func(t *testing.T) {
			all := c.of(t, pids)
			checkFastCGI(t, all, fronts)
			if comparedModes[i] == "socket" {
				checkFastCGITraces(t, all, fronts)
			}
		})
	}
	b.requireSecret(t, fastcgiSecret)
}

// fastcgiSpans are those of a kind.
func fastcgiSpans(all []requestSpan, kind ptrace.SpanKind) []requestSpan {
	return slices.DeleteFunc(slices.Clone(all), func(s requestSpan) bool { return s.kind != kind || s.text("network.protocol.name") != "fastcgi" })
}

// checkFastCGI compares the spans at both ends with what was asked.
func checkFastCGI(t *testing.T, all []requestSpan, fronts fastcgiFronts) {
	t.Helper()
	for _, kind := range []ptrace.SpanKind{ptrace.SpanKindClient, ptrace.SpanKindServer} {
		found := map[string]int{}
		spans := fastcgiSpans(all, kind)
		for i := range spans {
			x := &spans[i]
			found[x.text("url.path")] = max(x.number("http.response.status_code"), 0)
			assert.Equal(t, "POST", x.name)
			assert.Equal(t, "password=REDACTED", x.text("url.query"))
			assert.Equal(t, "complete", x.text("socketflow.capture"))
			assert.Equal(t, "/page.php", x.text("socketflow.fastcgi.script.name"))
			failed := x.number("http.response.status_code") >= 500 || x.text("url.path") == "/c/overloaded" || kind == ptrace.SpanKindClient && x.number("http.response.status_code") >= 400
			assert.Equal(t, failed, x.status == ptrace.StatusCodeError, "%s of %s", kind, x.text("url.path"))
			assert.Equal(t, kind == ptrace.SpanKindClient, x.pid() == fronts.of(x.text("url.path")))
			if kind == ptrace.SpanKindServer {
				assert.Equal(t, "127.0.0.1", x.text("client.address"))
			}
		}
		assert.Len(t, spans, len(fastcgiRequests), kind)
		assert.Equal(t, fastcgiRequests, found, kind)
	}
}

// checkFastCGITraces follows each request from nginx or Apache to what PHP asks.
func checkFastCGITraces(t *testing.T, all []requestSpan, fronts fastcgiFronts) {
	t.Helper()
	one := func(of string, is func(*requestSpan) bool) *requestSpan {
		var found []*requestSpan
		for i := range all {
			if is(&all[i]) {
				found = append(found, &all[i])
			}
		}
		if len(found) != 1 {
			t.Errorf("%d spans of %s", len(found), of)
			return &requestSpan{}
		}
		return found[0]
	}
	for path := range fastcgiRequests {
		kindOf := func(kind ptrace.SpanKind, protocol string) func(*requestSpan) bool {
			return func(x *requestSpan) bool {
				return x.kind == kind && x.text("network.protocol.name") == protocol && x.text("url.path") == path
			}
		}
		asked := one("the request "+path, kindOf(ptrace.SpanKindServer, "http"))
		handed := one("the server before "+path, kindOf(ptrace.SpanKindClient, "fastcgi"))
		answered := one("the responder to "+path, kindOf(ptrace.SpanKindServer, "fastcgi"))
		assert.Equal(t, [2]string{asked.traceID, asked.spanID}, [2]string{handed.traceID, handed.parent}, "the server before %s", path)
		assert.Equal(t, [2]string{handed.traceID, handed.spanID}, [2]string{answered.traceID, answered.parent}, "the responder to %s", path)
		if strings.HasPrefix(path, "/c/") {
			continue
		}
		query := one("PHP for "+path, func(x *requestSpan) bool {
			return x.pid() != fronts.of(path) && x.kind == ptrace.SpanKindClient && strings.HasSuffix(x.text("url.full"), "/backend"+path)
		})
		assert.Equal(t, [2]string{answered.traceID, answered.spanID}, [2]string{query.traceID, query.parent}, "PHP for %s", path)
	}
}
