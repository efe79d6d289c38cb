package metrics

import (
	"github.com/socketflow/socketflow/internal/socket"
)

// The instruments of the service graph.
const (
	requests = iota
	failures
	serverSeconds
	clientSeconds
)

// graph is named as the service graph connector of the collector names it, and Grafana expects it.
var graph = Family{id: 0x42, Instruments: []Instrument{
	requests:      counter("traces_service_graph_request_total", "{request}", "Requests between two services."),
	failures:      counter("traces_service_graph_request_failed_total", "{request}", "Requests between two services that have failed."),
	serverSeconds: seconds("traces_service_graph_request_server_seconds", "Duration of requests between two services, at their server.", secondsOfRequests),
	clientSeconds: seconds("traces_service_graph_request_client_seconds", "Duration of requests between two services, at their client.", secondsOfRequests),
}}

// Attributes of the service graph.
const (
	client         = "client"
	server         = "server"
	connectionType = "connection_type"

	typeDatabase = "database"
	typeVirtual  = "virtual_node" // only one end is observed
)

// connect measures an exchange for the service graph, now or later.
func (r *Recorder) connect(c *socket.Connection, m *measured) {
	if isSettled(c) {
		r.connected(c, m)
		return
	}
	r.await(connected, c, m)
}

// connected measures an exchange for the service graph. The end that was asked counts those of which both are observed on this host.
func (r *Recorder) connected(c *socket.Connection, e *measured) {
	peer := r.peerName(c)
	if peer == "" {
		return
	}
	kind := ""
	switch {
	case e.family.database:
		kind = typeDatabase
	case c.Peer == nil:
		kind = typeVirtual
	}
	from, to := peer, c.Process.ServiceName
	if e.asking {
		from, to = to, from
	}
	r.key = appendText(appendText(append(r.key[:0], graph.id), from), to)
	r.key = appendText(r.key, kind)
	info := r.store.graph
	t := r.known(info)
	if t == nil {
		t = r.begin(info, &graph, e.at, func() []Attribute { return r.graphAttributes(from, to, kind) })
	}
	end := 0
	if e.asking {
		end = 1
		t.record(clientSeconds, e.took.Seconds())
	} else {
		t.record(serverSeconds, e.took.Seconds())
	}
	if c.Peer != nil {
		r.ends[end].Add(1)
		if e.asking {
			return
		}
	}
	t.points[requests].add(1)
	if e.failed {
		t.points[failures].add(1)
	}
}

func (r *Recorder) graphAttributes(from, to, kind string) []Attribute {
	all := []Attribute{{Key: client, Text: r.store.options.Text(from)}, {Key: server, Text: r.store.options.Text(to)}}
	if kind != "" {
		all = append(all, Attribute{Key: connectionType, Text: kind})
	}
	return all
}
