//go:build e2e && linux

package e2e

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/socketflow/socketflow/internal/integration/dashboard"
)

// TestDashboardAnswers: each of its queries has an answer, after some of everything has happened.
func TestDashboardAnswers(t *testing.T) {
	needRoot(t)
	port := freePort(t)
	c := runCollector(t, fmt.Sprintf(toPrometheus, port), collectorOptions{})
	p := startPrometheus(t, onHost(port), strings.TrimSuffix(strings.TrimPrefix(c.metrics, "http://"), "/metrics"))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }))
	defer server.Close()
	secured := httptest.NewTLSServer(server.Config.Handler)
	defer secured.Close()
	some := func() {
		for url, client := range map[string]*http.Client{server.URL: http.DefaultClient, secured.URL: secured.Client()} {
			response, err := client.Get(url)
			require.NoError(t, err)
			_, err = io.Copy(io.Discard, response.Body)
			require.NoError(t, err)
			require.NoError(t, response.Body.Close())
			client.CloseIdleConnections()
		}
		_, err := net.Dial("tcp", "127.0.0.1:1")
		require.Error(t, err)
		callHealth(t, 10, 10)
		benchmarkRedis(t, 100)
	}
	some()
	for _, query := range dashboard.Queries() {
		if strings.Contains(query, "lookup_duration") { // there may be no server
			continue
		}
		concrete := strings.NewReplacer("$service", ".*", "$__rate_interval", "1m").Replace(query)
		eventually(t, 30*time.Second, query, func() error {
			got, err := p.query(concrete)
			if err == nil && len(got) == 0 {
				some()
				err = errors.New("no answer")
			}
			return err
		})
	}
}
