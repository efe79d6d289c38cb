//go:build e2e && linux

package e2e

import (
	"maps"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// exampleConversation is a conversation that carried two requests.
func exampleConversation() *conversation {
	process := map[string]any{"process.pid": int64(10), "service.name": "it"}
	attributes := map[string]any{
		"network.transport": "tcp", "socketflow.role.name": "client", "socketflow.connection.id": "a",
		"network.local.address": "10.0.0.1", "network.local.port": int64(258), "network.peer.address": "10.0.0.2", "network.peer.port": int64(772),
	}
	c := &conversation{}
	for _, event := range []string{opened, closed} {
		c.record(&record{item: item{process: maps.Clone(process), attributes: maps.Clone(attributes)}, event: event})
	}
	c.end.attributes["socketflow.bytes.sent"], c.end.attributes["socketflow.bytes.received"] = int64(30), int64(40)
	for i, path := range []string{"/a", "/b"} {
		of := maps.Clone(attributes)
		of["url.path"], of["http.request.method"] = path, "GET"
		c.exchanges = append(c.exchanges, &span{
			item: item{process: maps.Clone(process), attributes: of}, name: "GET", began: time.Unix(int64(i), 0),
		})
	}
	return c
}

// TestModeComparisonFindsDifferences: the comparison of TestModesAgree finds each kind of difference.
func TestModeComparisonFindsDifferences(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(c *conversation)
		want   []string // what differs
	}{
		{"nothing", func(*conversation) {}, nil},
		{"what is not compared", func(c *conversation) { c.end.attributes["socketflow.connection.id"] = "b" }, nil},
		{"bytes", func(c *conversation) { c.end.attributes["socketflow.bytes.sent"] = int64(31) }, []string{"end: socketflow.bytes.sent"}},
		{"no local port", func(c *conversation) { delete(c.end.attributes, "network.local.port") }, []string{"end: network.local.port"}},
		{"no local end", func(c *conversation) {
			delete(c.end.attributes, "network.local.port")
			delete(c.end.attributes, "network.local.address")
		}, []string{"end: network.local.port", "end: network.local.address"}},
		{"another port", func(c *conversation) { c.end.attributes["network.local.port"] = int64(259) }, []string{
			"a connection is emitted", "a connection is emitted",
		}},
		{"another process", func(c *conversation) { c.end.process["process.pid"] = int64(11) }, []string{
			"a connection is emitted", "a connection is emitted",
		}},
		{"another role", func(c *conversation) { c.open.attributes["socketflow.role.name"] = "server" }, []string{"open: socketflow.role.name"}},
		{"another service", func(c *conversation) { c.open.process["service.name"] = "no" }, []string{"open: resource: service.name"}},
		{"no opening", func(c *conversation) { c.open = nil }, []string{"open is emitted"}},
		{"emitted twice", func(c *conversation) { c.record(c.end) }, []string{"records that were emitted before"}},
		{"an exchange is missing", func(c *conversation) { c.exchanges = c.exchanges[1:] }, []string{"an exchange is emitted"}},
		{"an exchange is another", func(c *conversation) { c.exchanges[1].attributes["url.path"] = "/c" }, []string{
			"an exchange is emitted", "an exchange is emitted",
		}},
		{"an exchange's status", func(c *conversation) { c.exchanges[1].attributes["http.response.status_code"] = int64(500) }, []string{"span: http.response.status_code"}},
		{"order does not matter", func(c *conversation) { c.exchanges[0], c.exchanges[1] = c.exchanges[1], c.exchanges[0] }, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			other := exampleConversation()
			test.change(other)
			var what []string
			for _, d := range compare("it", []*conversation{exampleConversation()}, []*conversation{other}) {
				what = append(what, d.what)
			}
			assert.ElementsMatch(t, test.want, what)
		})
	}
}

// TestAllowedModeDifferences: a difference that is not allowed is a fault, and so is an allowed one that does not occur.
func TestAllowedModeDifferences(t *testing.T) {
	allowed := []allowedDifference{
		{what: []string{"a", "b"}, in: [2]string{"", nothing}, workloads: []string{"one"}, reason: "it has to be"},
	}
	covered := differences{
		{workload: "one", what: "end: a", in: [2]string{"1", nothing}},
		{workload: "one", what: "b", in: [2]string{"2", nothing}},
	}
	assert.Empty(t, covered.problems(allowed))
	assert.Len(t, covered[:1].problems(allowed), 1, "b is allowed in vain")
	for name, d := range map[string]difference{
		"another workload":  {workload: "two", what: "end: a", in: [2]string{"1", nothing}},
		"another value":     {workload: "one", what: "end: a", in: [2]string{"1", "2"}},
		"another attribute": {workload: "one", what: "end: c", in: [2]string{"1", nothing}},
	} {
		assert.Len(t, append(covered, d).problems(allowed), 1, name)
	}
}
