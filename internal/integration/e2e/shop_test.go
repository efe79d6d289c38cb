//go:build e2e && linux

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/socketflow/socketflow/internal/testenv"
)

// TestShop runs examples/shop, whose load generator compares each order's trace in Jaeger with what has happened: none has a wrong parent,
// and 95 of 100 at least are one whole trace. With SOCKETFLOW_SCREENSHOTS it leaves pictures of Jaeger's pages in that directory.
func TestShop(t *testing.T) {
	needRoot(t)
	collectorBinary(t)
	for debianPackage, name := range map[string]string{
		"nginx-light": "nginx", "nodejs": "node", "python3": "python3", "redis-server": "redis-server",
		"postgresql": "/usr/lib/postgresql/*/bin/postgres",
	} {
		testenv.NeedProgram(t, debianPackage, name)
	}
	j := startJaeger(t)
	cmd := exec.Command(filepath.Join(root, "examples", "shop", "run"), "--once")
	cmd.Env = append(os.Environ(), "JAEGER_URL="+j.query,
		fmt.Sprintf("OTLP_ENDPOINT=127.0.0.1:%d", j.grpc), fmt.Sprintf("SHOP_PORT=%d", freePorts(t, 6)))
	shop := start(t, cmd)
	status := shop.wait(4 * time.Minute)
	report := readFile(t, shop.stdout)
	t.Log(report)
	require.Zero(t, status)
	require.NotContains(t, readFile(t, shop.stderr), "without PostgreSQL")

	require.Equal(t, map[string][]string{
		"shopper": {"nginx"}, "nginx": {"storefront"}, "storefront": {"orders"}, "orders": {"stock"}, "stock": {"postgres", "redis-server"},
	}, j.dependencies(t))

	if directory := os.Getenv("SOCKETFLOW_SCREENSHOTS"); directory != "" {
		trace := regexp.MustCompile(j.query + `/trace/\w+`).FindString(report)
		require.NotEmpty(t, trace)
		b := startBrowser(t)
		b.screenshot(trace, "redis-server", filepath.Join(directory, "shop-trace.png"), 1280, 640)
		b.screenshot(j.query+"/dependencies", "redis-server", filepath.Join(directory, "shop-dependencies.png"), 1100, 800)
	}
}

// freePorts is the first of consecutive free ports.
func freePorts(t testing.TB, n int) int {
	t.Helper()
	for range 1000 {
		first, free := freePort(t), 1
		for free < n && tryPort(first+free) != 0 {
			free++
		}
		if free == n {
			return first
		}
	}
	t.Fatalf("no %d free ports in a row", n)
	return 0
}

// dependencies is Jaeger's graph of services: who calls whom, in order. It also has an edge from a service to itself, for spans within it.
func (j *jaeger) dependencies(t testing.TB) map[string][]string {
	t.Helper()
	var graph struct {
		Data []struct{ Parent, Child string }
	}
	const lookBack = time.Hour
	require.NoError(t, j.ask(fmt.Sprintf("/api/dependencies?endTs=%d&lookback=%d", time.Now().UnixMilli(), lookBack.Milliseconds()), &graph))
	calls := map[string][]string{}
	for _, edge := range graph.Data {
		if edge.Parent != edge.Child {
			calls[edge.Parent] = append(calls[edge.Parent], edge.Child)
		}
	}
	for _, called := range calls {
		slices.Sort(called)
	}
	return calls
}
