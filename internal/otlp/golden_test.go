package otlp

import (
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/golden"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/pdatatest/plogtest"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/pdatatest/ptracetest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/process"
	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/socket"
)

var record = flag.Bool("record", false, "write the expected files of testdata/otlp anew, and fail")

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// connect is a complete client connection over IPv4, closed in good order by the peer. Cases say how theirs differs.
func connect(changes ...func(*socket.Connection)) *socket.Connection {
	c := &socket.Connection{
		ID: 1, Process: curl(), NetNS: 4026531840,
		Local: netip.MustParseAddrPort("127.0.0.1:40000"), Remote: netip.MustParseAddrPort("127.0.0.1:80"),
		Role: event.RoleClient, RoleSource: event.RoleSourceConnect, AddressSource: event.AddressSourceSock,
		StartedAt: start.UnixNano(), OpenedAt: start.Add(time.Millisecond).UnixNano(),
	}
	for _, change := range changes {
		change(c)
	}
	return c
}

func ended(way socket.Way, by socket.Side, errno uint32) func(*socket.Connection) {
	return func(c *socket.Connection) {
		c.EndedAt = c.StartedAt + int64(1530*time.Millisecond)
		c.End, c.Errno = socket.End{Way: way, By: by}, errno
		c.Stats = event.Ending{
			BytesSent: 1234, BytesReceived: 4_512_345, SegmentsSent: 321, SegmentsReceived: 3210, RTT: 431,
			Retransmits: 2,
		}
	}
}

func accepted(c *socket.Connection) {
	c.Process = nginx()
	c.Local, c.Remote = c.Remote, c.Local
	c.Role, c.RoleSource = event.RoleServer, event.RoleSourceAccept
}

func between(local, remote string) func(*socket.Connection) {
	return func(c *socket.Connection) {
		c.Local, c.Remote = netip.MustParseAddrPort(local), netip.MustParseAddrPort(remote)
	}
}

func of(p *process.Info) func(*socket.Connection) {
	return func(c *socket.Connection) { c.Process = p }
}

// resolved is a connection to a name that the process had asked DNS for.
func resolved(c *socket.Connection) { c.PeerName = "db.example.com" }

// secured12 and secured13 are what is known of connections with TLS 1.2 and 1.3.
var (
	secured12 = protocol.TLS{
		ServerName: "shop.example.com", Offered: []string{"h2", "http/1.1"}, Answered: true, Protocol: "tls", Version: "1.2",
		Cipher: "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", NextProtocol: "h2", Resumed: true, Established: true,
	}
	secured13 = protocol.TLS{
		Offered: []string{"h2"}, Answered: true, Protocol: "tls", Version: "1.3", Cipher: "TLS_AES_128_GCM_SHA256", Anew: true,
	}
)

// named is a connection in a protocol that its bytes have shown.
func named(name, version string) func(*socket.Connection) {
	return func(c *socket.Connection) { c.Protocol = protocol.Identity{Name: name, Version: version} }
}

// secured is a connection of which this is known when it has ended.
func secured(t *protocol.TLS) func(*socket.Connection) {
	return func(c *socket.Connection) { c.TLS = t }
}

// neverSeenAgain ends a connection of which nothing is known but its first bytes.
func neverSeenAgain(c *socket.Connection) { c.EndedAt = c.StartedAt }

// unmeasured sets the counts of an attempt that nobody answered.
func unmeasured(c *socket.Connection) { c.Stats = event.Ending{Retransmits: 6} }

// openedAndClosed emits the open and the close of a connection.
func openedAndClosed(ending func(*socket.Connection), changes ...func(*socket.Connection)) func(*Builder) {
	return func(b *Builder) {
		c := connect(changes...)
		b.Opened(c)
		ending(c)
		b.Closed(c)
	}
}

func failed(ending func(*socket.Connection), changes ...func(*socket.Connection)) func(*Builder) {
	return func(b *Builder) {
		c := connect(changes...)
		ending(c)
		unmeasured(c)
		b.Failed(c)
	}
}

var finByPeer = ended(socket.WayFIN, socket.SideRemote, 0)

// cases have one folder each in testdata/otlp. Their options are those that differ from newBuilder's.
var cases = []struct {
	name    string
	options Options
	emit    func(*Builder)
}{
	{name: "client_v4", emit: openedAndClosed(finByPeer)},
	{name: "server_v6", emit: openedAndClosed(ended(socket.WayFIN, socket.SideLocal, 0),
		between("[2001:db8::2]:51000", "[2001:db8::1]:258"), accepted)},
	{name: "server_v4_mapped", emit: openedAndClosed(finByPeer, between("10.1.2.3:51000", "10.1.2.4:8443"), accepted)},
	{name: "refused", emit: failed(ended(socket.WayRST, socket.SideRemote, 111), between("10.0.0.9:40001", "10.0.0.1:443"))},
	{name: "refused_v1.20", options: Options{Addresses: AddressV120}, emit: failed(ended(socket.WayRST, socket.SideRemote, 111))},
	{name: "refused_v1.12", options: Options{Addresses: AddressV112}, emit: failed(ended(socket.WayRST, socket.SideRemote, 111))},
	{name: "connect_timed_out", emit: failed(ended(socket.WayTimeout, socket.SideUnknown, 110))},
	{name: "connect_unreachable", emit: failed(ended(socket.WayError, socket.SideUnknown, 113), func(c *socket.Connection) {
		c.Local, c.AddressSource = netip.AddrPort{}, event.AddressSourceConnect
	})},
	{name: "connect_canceled", emit: failed(ended(socket.WayCanceled, socket.SideLocal, 0))},
	{name: "connect_failed_for_unknown_cause", emit: failed(ended(socket.WayUnknown, socket.SideUnknown, 0))},
	{name: "reset_by_remote", emit: openedAndClosed(ended(socket.WayRST, socket.SideRemote, 0))},
	{name: "reset_by_local", emit: openedAndClosed(ended(socket.WayRST, socket.SideLocal, 0), accepted)},
	{name: "timed_out", emit: openedAndClosed(ended(socket.WayTimeout, socket.SideUnknown, 110))},
	{name: "broken_by_network", emit: openedAndClosed(ended(socket.WayError, socket.SideUnknown, 113))},
	{name: "unknown_owner", emit: openedAndClosed(finByPeer, of(unknownOwner()), func(c *socket.Connection) {
		c.Capture = socket.CaptureGap
	})},
	{name: "process_gone", emit: openedAndClosed(finByPeer, of(gone()))},
	{name: "unknown_role", emit: openedAndClosed(finByPeer, func(c *socket.Connection) {
		c.Role, c.RoleSource = event.RoleUnknown, event.RoleSourceUnknown
	})},
	{name: "joined_midstream", emit: openedAndClosed(finByPeer, accepted, func(c *socket.Connection) {
		c.RoleSource, c.Capture = event.RoleSourceListener, socket.CaptureJoinedMidstream
	})},
	{name: "container", emit: openedAndClosed(finByPeer, accepted, of(redis()))},
	{name: "nothing_known", emit: openedAndClosed(ended(socket.WayUnknown, socket.SideUnknown, 0), of(unknownOwner()),
		func(c *socket.Connection) {
			*c = socket.Connection{ID: c.ID, Process: c.Process, StartedAt: c.StartedAt, OpenedAt: c.OpenedAt}
		})},
	{name: "resource", options: Options{Host: process.Host{Name: "node-7", ID: "0123"}, Omitted: []string{"container.id", "host.id"}}, emit: openedAndClosed(finByPeer, of(described()))},
	{name: "stable_only", options: Options{Addresses: AddressStable}, emit: openedAndClosed(finByPeer, accepted)},
	{name: "v1.20", options: Options{Addresses: AddressV120}, emit: openedAndClosed(finByPeer, accepted)},
	{name: "v1.12", options: Options{Addresses: AddressV112}, emit: openedAndClosed(finByPeer, accepted)},
	{name: "open_records_only", options: Options{Records: RecordOpen}, emit: openedAndClosed(finByPeer)},
	{name: "close_records_only", options: Options{Records: RecordClose}, emit: openedAndClosed(finByPeer)},
	{name: "client_named_by_dns", emit: openedAndClosed(finByPeer, resolved)},
	{name: "refused_named_by_dns", emit: failed(ended(socket.WayRST, socket.SideRemote, 111), resolved)},
	{name: "named", emit: openedAndClosed(finByPeer, named("ssh", "2.0"))},
	{name: "named_v1.20", options: Options{Addresses: AddressV120}, emit: openedAndClosed(finByPeer, accepted, named("mqtt", "3.1.1"))},
	{name: "tls_client", emit: openedAndClosed(finByPeer, secured(&secured12))},
	{name: "tls_server", emit: openedAndClosed(finByPeer, accepted, secured(&secured13))},
	{name: "tls_failed", emit: openedAndClosed(ended(socket.WayRST, socket.SideRemote, 0), secured(&protocol.TLS{ServerName: "shop.example.com", Failed: true}))},
	{name: "spans_never", options: Options{ConnectionSpans: SpansNever}, emit: openedAndClosed(finByPeer)},
	{name: "spans_always", options: Options{ConnectionSpans: SpansAlways}, emit: openedAndClosed(finByPeer)},

	{name: "unix_client", emit: openedAndClosed(closedByPeer, overUnix("", "/run/docker.sock", 812))},
	{name: "unix_server", emit: openedAndClosed(closedByPeer, accepted, overUnix("/run/x.sock", "", 4242))},
	{name: "unix_abstract_both_named", emit: openedAndClosed(closedByPeer, accepted, overUnix("@/x/server", "@client", 4242))},
	{name: "unix_unnamed", emit: openedAndClosed(closedByPeer, overUnix("", "", 77),
		withRole(event.RoleUnknown, event.RoleSourceUnknown))},
	{name: "unix_nothing_known", emit: openedAndClosed(ended(socket.WayUnknown, socket.SideUnknown, 0),
		overUnix("", "", 0), withRole(event.RoleUnknown, event.RoleSourceUnknown), joined, of(unknownOwner()))},
	{name: "unix_end_not_seen", options: Options{ConnectionSpans: SpansAlways}, emit: openedAndClosed(neverSeenAgain, overUnix("", "/run/docker.sock", 812))},
	{name: "unix_refused", emit: failed(ended(socket.WayRST, socket.SideRemote, 111), overUnix("", "/run/docker.sock", 0))},
	{name: "unix_v1.20", options: Options{Addresses: AddressV120},
		emit: openedAndClosed(closedByPeer, accepted, overUnix("/run/x.sock", "", 4242))},
	{name: "unix_v1.12", options: Options{Addresses: AddressV112},
		emit: openedAndClosed(closedByPeer, accepted, overUnix("/run/x.sock", "", 4242))},
	{name: "unix_stable_only", options: Options{Addresses: AddressStable},
		emit: openedAndClosed(closedByPeer, overUnix("", "/run/docker.sock", 812))},
	{name: "unix_exchange_client", emit: exchanged(local(protocol.Client), overUnix("", "/run/docker.sock", 812))},
	{name: "unix_exchange_server", emit: exchanged(nameless, accepted, overUnix("/run/x.sock", "", 4242),
		withRole(event.RoleServer, event.RoleSourceProtocol))},
	{name: "udp_client", emit: openedAndClosed(idle, overUDP, between("10.1.2.3:40000", "10.1.2.4:53"))},
	{name: "udp_server", emit: openedAndClosed(idle, between("[2001:db8::2]:51000", "[2001:db8::1]:53"), accepted, overUDP)},
	{name: "udp_refused", emit: openedAndClosed(ended(socket.WayError, socket.SideUnknown, 111), overUDP)},
	{name: "udp_v1.20", options: Options{Addresses: AddressV120}, emit: openedAndClosed(idle, overUDP)},

	{name: "http_client", emit: exchanged(get(protocol.Client, "200"))},
	{name: "http_client_404", emit: exchanged(get(protocol.Client, "404"))},
	{name: "http_server", emit: exchanged(get(protocol.Server, "200",
		"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "tracestate: vendor=1"), accepted)},
	{name: "http_server_500", emit: exchanged(get(protocol.Server, "500"), accepted)},
	{name: "http_headers", emit: exchanged(get(protocol.Client, "200", "X-Team: a", "x-team: b", "< X-Cache: hit"))},
	{name: "http_server_v1.20", options: Options{Addresses: AddressV120}, emit: exchanged(get(protocol.Server, "200"), accepted)},
	{name: "http_server_v1.12", options: Options{Addresses: AddressV112}, emit: exchanged(get(protocol.Server, "200"), accepted)},
	{name: "http_client_v1.20", options: Options{Addresses: AddressV120},
		emit: exchanged(get(protocol.Client, "404", "X-Team: a", "< X-Cache: hit"))},
	{name: "http_unknown_method_v1.20", options: Options{Addresses: AddressV120}, emit: exchanged(unknownMethod)},
	{name: "grpc_client_error_v1.12", options: Options{Addresses: AddressV112}, emit: exchanged(call)},
	{name: "redis_v1.20", options: Options{Addresses: AddressV120}, emit: exchanged(redisCommand)},
	{name: "postgresql", emit: exchanged(statement)},
	{name: "postgresql_v1.20", options: Options{Addresses: AddressV120}, emit: exchanged(statement)},
	{name: "http_stable_only", options: Options{Addresses: AddressStable}, emit: exchanged(get(protocol.Client, "200"))},
	{name: "http_failed", emit: exchanged(failedExchange)},
	{name: "http_client_named_by_request", emit: exchanged(get(protocol.Client, "200"), resolved)},
	{name: "exchange_client_named_by_dns", emit: exchanged(anonymous, resolved)},
	{name: "exchange_server_named_by_dns", emit: exchanged(nameless, resolved, accepted)},
	{name: "http_client_candidates", options: undecided, emit: exchanged(get(protocol.Client, "200"), asking)},
	{name: "grpc_client_error", emit: exchanged(call)},
	{name: "exchanges_and_spans_auto", emit: conversation},
	{name: "exchanges_and_spans_always", options: Options{ConnectionSpans: SpansAlways}, emit: conversation},
}

// newBuilder returns a Builder of both signals, with a fixed identity and clock.
func newBuilder(o Options) *Builder {
	o.Traces = true
	if o.Records == 0 {
		o.Records = RecordAll
	}
	o.ScopeName, o.ScopeVersion = "github.com/socketflow/socketflow", "0.0.0-test"
	o.HostID = 0x0102030405060708
	if o.Omitted == nil {
		o.Omitted = []string{processCommandArgs}
	}
	o.Now = func() time.Time { return start.Add(2 * time.Second) }
	return NewBuilder(o)
}

func TestBatchesMatchGoldenFiles(t *testing.T) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			b := newBuilder(c.options)
			c.emit(b)
			logs, traces := b.Take()
			folder := filepath.Join("..", "..", "testdata", "otlp", c.name)
			logsFile, tracesFile := filepath.Join(folder, "expected_logs.yaml"), filepath.Join(folder, "expected_traces.yaml")
			if *record {
				must(t, os.MkdirAll(folder, 0o755))
				must(t, golden.WriteLogs(t, logsFile, logs))
				must(t, golden.WriteTraces(t, tracesFile, traces))
			}
			wantLogs, err := golden.ReadLogs(logsFile)
			must(t, err)
			must(t, plogtest.CompareLogs(wantLogs, logs))
			wantTraces, err := golden.ReadTraces(tracesFile)
			must(t, err)
			must(t, ptracetest.CompareTraces(wantTraces, traces))
			mustBeSame(t, wantLogs, logs, wantTraces, traces)
		})
	}
}

// mustBeSame compares what plogtest and ptracetest ignore: event names, schema URLs.
func mustBeSame(t *testing.T, wantLogs, logs plog.Logs, wantTraces, traces ptrace.Traces) {
	t.Helper()
	var logsJSON plog.JSONMarshaler
	var tracesJSON ptrace.JSONMarshaler
	for _, pair := range [...]struct{ want, got func() ([]byte, error) }{
		{
			func() ([]byte, error) { return logsJSON.MarshalLogs(wantLogs) },
			func() ([]byte, error) { return logsJSON.MarshalLogs(logs) },
		},
		{
			func() ([]byte, error) { return tracesJSON.MarshalTraces(wantTraces) },
			func() ([]byte, error) { return tracesJSON.MarshalTraces(traces) },
		},
	} {
		want, err := pair.want()
		must(t, err)
		got, err := pair.got()
		must(t, err)
		if string(got) != string(want) {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
