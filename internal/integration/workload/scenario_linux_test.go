//go:build amd64 || arm64

package workload_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/socketflow/socketflow/internal/integration/workload"
	"github.com/socketflow/socketflow/internal/testenv"
)

// throughGates lets a workload pass all of its gates, and returns its flows.
func throughGates(t *testing.T, run *workload.Run) []workload.Flow {
	t.Helper()
	for {
		gate, err := run.AwaitAny()
		if gate == "" {
			require.ErrorContains(t, err, "has ended instead of waiting")
			require.NotContains(t, err.Error(), "exit status")
			return run.Flows()
		}
		require.NoError(t, err)
		require.NoError(t, run.Continue())
	}
}

// assertConversations checks that each end of a conversation has its counterpart, with the same facts.
func assertConversations(t *testing.T, all []workload.Flow) {
	t.Helper()
	type between struct {
		transport     workload.Transport
		local, remote string
		number        int // of several between the same
	}
	name := func(f *workload.Flow, remote bool) string {
		switch {
		case f.Transport == workload.Unix && remote:
			return f.RemoteName
		case f.Transport == workload.Unix:
			return f.LocalName
		case remote:
			return unmapped(f.Remote).String()
		}
		return unmapped(f.Local).String()
	}
	clients, servers := map[between]*workload.Flow{}, map[between]*workload.Flow{}
	add := func(to map[between]*workload.Flow, key between, f *workload.Flow) {
		for ; to[key] != nil; key.number++ {
		}
		to[key] = f
	}
	for i := range all {
		f := &all[i]
		assert.NotZero(t, f.PID)
		switch {
		case f.Failed:
			assert.NotZero(t, f.Errno)
		case f.Role == workload.Client:
			add(clients, between{transport: f.Transport, local: name(f, false), remote: name(f, true)}, f)
		default:
			add(servers, between{transport: f.Transport, local: name(f, true), remote: name(f, false)}, f)
		}
	}
	assert.Len(t, servers, len(clients))
	for key, c := range clients {
		s := servers[key]
		if !assert.NotNil(t, s, "%+v has no other end", c) {
			continue
		}
		assert.Equal(t, c.Sent, s.Received, "%+v and %+v", c, s)
		assert.Equal(t, s.Sent, c.Received, "%+v and %+v", c, s)
		assert.Equal(t, c.Requests, s.Requests, "%+v and %+v", c, s)
		assert.Equal(t, c.NetNS, s.NetNS)
	}
}

// Both ends that a scenario writes down must agree: all other tests are measured against them.
func TestScenarioEndsAgree(t *testing.T) {
	for name, test := range map[string]struct {
		args     []string
		flows    int
		requests int // of each flow, where all have as many
	}{
		"null-accept":           {flows: 8, requests: 3},
		"no-getsockname":        {flows: 8, requests: 3},
		"getsockname-elsewhere": {flows: 2, requests: 3},
		"accept-blocked":        {flows: 6, requests: 2},
		"delayed-address":       {args: []string{"late", "20"}, flows: 2, requests: 22},
		"connect-so-error":      {flows: 4, requests: 2},
		"connect-first-write":   {flows: 4, requests: 2},
		"connect-again":         {flows: 4, requests: 2},
		"refused-reused":        {flows: 12},
		"udp-probe":             {flows: 10, requests: 1},
		"cycles":                {args: []string{"100"}, flows: 200, requests: 1},
		"fork-serves":           {flows: 6, requests: 4},
		"fork-accepts":          {flows: 2, requests: 4},
		"passed-by-pair":        {flows: 6, requests: 2},
		"passed-by-name":        {flows: 6, requests: 2},
		"duplicates":            {flows: 10},
		"dup2-over-live":        {flows: 4},
		"close-range":           {flows: 12, requests: 2},
		"exec":                  {flows: 4},
		"transfers":             {flows: 14, requests: 2},
		"sendfile":              {flows: 2, requests: 2},
		"peek":                  {flows: 2, requests: 3},
		"half-close":            {flows: 2, requests: 1},
		"families":              {flows: 10, requests: 2},
		"unix-path":             {flows: 4, requests: 2},
		"unix-abstract":         {flows: 4, requests: 2},
		"unix-pair":             {flows: 2, requests: 2},
		"udp-connected":         {flows: 2},
		"udp-messages":          {flows: 6},
	} {
		t.Run(name, func(t *testing.T) {
			needNamespace(t)
			cmd := workload.Isolate(workload.Command(t.Context(), "scenario", append([]string{name}, test.args...)...))
			all := throughGates(t, start(t, cmd))
			assert.Len(t, all, test.flows)
			assertConversations(t, all)
			for i := range all {
				if test.requests != 0 {
					assert.Len(t, all[i].Requests, test.requests, "%+v", all[i])
				}
			}
		})
	}
}

func needNamespace(t *testing.T) {
	t.Helper()
	testenv.NeedRoot(t, "making a network namespace")
}
