package receiver_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/socketflow/socketflow/internal/integration/workload"
	"github.com/socketflow/socketflow/receiver"
)

// emittedFlow is the telemetry of one end of a conversation: the records, the last of which is the end, and the spans.
type emittedFlow struct {
	open, end *record
	spans     []span
	taken     bool // a flow of the truth has been found for it
}

// pid is the process of the records.
func (f *emittedFlow) pid() int {
	r := f.end
	if r == nil {
		r = f.open
	}
	return int(number(r.resource, "process.pid"))
}

// attributes are those of the end, or else of the opening.
func (f *emittedFlow) attributes() pcommon.Map {
	if f.end != nil {
		return f.end.Attributes()
	}
	return f.open.Attributes()
}

func (f *emittedFlow) String() string {
	if f.end != nil {
		return f.end.Body().Str()
	}
	return f.open.Body().Str()
}

// emittedFlows are the flows of processes over some transports, by connection id. A record that was emitted twice is a fault.
func (o *observation) emittedFlows(wrong *findings, pids []int, over []workload.Transport) []*emittedFlow {
	byID := map[string]*emittedFlow{}
	var all []*emittedFlow
	of := func(id string) *emittedFlow {
		if byID[id] == nil {
			byID[id] = &emittedFlow{}
			all = append(all, byID[id])
		}
		return byID[id]
	}
	for _, pid := range pids {
		p := o.of(pid)
		for _, r := range p.records {
			if !slices.Contains(over, workload.Transport(text(r.Attributes(), "network.transport"))) {
				continue
			}
			f := of(r.id())
			at := &f.end
			if r.EventName() == opened {
				at = &f.open
			}
			if *at != nil {
				wrong.add("emitted twice: %s", r.Body().Str())
			}
			*at = &r
		}
	}
	for _, pid := range pids {
		for _, s := range o.of(pid).spans {
			f := byID[text(s.Attributes(), "socketflow.connection.id")]
			switch {
			case !slices.Contains(over, workload.Transport(text(s.Attributes(), "network.transport"))):
			case f == nil:
				wrong.add("a span of a connection of which there is no record: %s %v", s.Name(), s.Attributes().AsRaw())
			default:
				f.spans = append(f.spans, s)
			}
		}
	}
	return all
}

// verifyFlows checks that the telemetry of the processes of these flows, over some transports, has each flow once, with its
// requests, and nothing else. The receiver has to be shut down.
func (o *observation) verifyFlows(t *testing.T, flows []workload.Flow, over ...workload.Transport) {
	t.Helper()
	var wrong findings
	wrong.compare(o.mode, flows, o.emittedFlows(&wrong, flowPIDs(flows), over))
	wrong.report(t.Errorf)
}

// compare finds the telemetry of each flow and compares it with the truth.
func (w *findings) compare(mode receiver.Mode, flows []workload.Flow, emitted []*emittedFlow) {
	index := newFlowIndex(emitted)
	for i := range flows {
		f := &flows[i]
		got := index.find(f)
		if got == nil {
			w.add("this is not emitted: %+v", *f)
			continue
		}
		got.taken = true
		got.check(w, mode, f)
	}
	for _, f := range emitted {
		if !f.taken {
			w.add("this never was: %s", f)
		}
	}
}

// flowIndex finds the telemetry of a flow: by its addresses, if both were emitted, else among all flows of the same kind.
type flowIndex struct {
	exact, alike map[string][]*emittedFlow
}

func newFlowIndex(emitted []*emittedFlow) flowIndex {
	index := flowIndex{map[string][]*emittedFlow{}, map[string][]*emittedFlow{}}
	for _, f := range emitted {
		a := f.attributes()
		failed := f.end != nil && f.end.EventName() == failed
		like := flowKey(text(a, "network.transport"), text(a, "socketflow.role.name"), failed)
		index.alike[like] = append(index.alike[like], f)
		flow := workload.Flow{Transport: workload.Transport(text(a, "network.transport"))}
		ends := ends(&flow)
		exact := like + ends[0].emitted(a) + ends[1].emitted(a) + strconv.Itoa(f.pid())
		index.exact[exact] = append(index.exact[exact], f)
	}
	return index
}

func flowKey(transport, role string, failed bool) string {
	if transport == string(workload.Unix) {
		role = "" // either end of a socketpair may be the server
	}
	return fmt.Sprint(transport, role, failed)
}

// find returns the telemetry that fits best, if any does. Telemetry that was found before is left out.
func (index flowIndex) find(f *workload.Flow) *emittedFlow {
	like, ends := flowKey(string(f.Transport), string(f.Role), f.Failed), ends(f)
	if best := bestOf(index.exact, like+ends[0].true()+ends[1].true()+strconv.Itoa(f.PID), f); best != nil {
		return best
	}
	return bestOf(index.alike, like, f)
}

func bestOf(in map[string][]*emittedFlow, key string, f *workload.Flow) *emittedFlow {
	var best *emittedFlow
	var most int
	in[key] = slices.DeleteFunc(in[key], func(t *emittedFlow) bool { return t.taken })
	for _, t := range in[key] {
		if n := t.fits(f); n > most {
			best, most = t, n
		}
	}
	return best
}

// fits is how well the telemetry fits a flow; 0: it does not.
func (f *emittedFlow) fits(truth *workload.Flow) int {
	a := f.attributes()
	points := 1
	for _, end := range ends(truth) {
		switch emitted := end.emitted(a); {
		case end.unknown() || truth.Failed && !end.remote:
		case emitted == end.true():
			points += 4
		case emitted == "" || strings.HasSuffix(emitted, noPort):
		default:
			return 0
		}
	}
	if f.paths()[0] == first(truth.Requests) {
		points += 2
	}
	if f.pid() == truth.PID {
		points += 2
	}
	if number(a, "socketflow.bytes.sent") == int64(truth.Sent) && number(a, "socketflow.bytes.received") == int64(truth.Received) {
		points++
	}
	return points
}

func first(all []string) string {
	if len(all) == 0 {
		return ""
	}
	return all[0]
}

// flowEnd is one of the two ends of a flow of the truth.
type flowEnd struct {
	*workload.Flow
	remote bool
}

func ends(f *workload.Flow) [2]flowEnd { return [...]flowEnd{{f, false}, {f, true}} }

// noPort is the end of an address whose port is not known.
const noPort = ":0"

func (e flowEnd) String() string {
	if e.remote {
		return "network.peer"
	}
	return "network.local"
}

// true is the end's address, or its name.
func (e flowEnd) true() string {
	address, name := e.Local, e.LocalName
	if e.remote {
		address, name = e.Remote, e.RemoteName
	}
	if e.Transport == workload.Unix {
		return name
	}
	return unmapped(address).String()
}

// emitted is the emitted address; empty: there is none.
func (e flowEnd) emitted(a pcommon.Map) string {
	address := text(a, e.String()+".address")
	ip, err := netip.ParseAddr(address)
	if e.Transport == workload.Unix || err != nil {
		return address
	}
	return netip.AddrPortFrom(ip, uint16(number(a, e.String()+".port"))).String()
}

// unknown reports whether no call shows the address.
func (e flowEnd) unknown() bool { return !e.remote && e.LocalUnknown || e.remote && e.RemoteUnknown }

// paths are those of the emitted requests, in order; at least one, which is empty if there are none.
func (f *emittedFlow) paths() []string {
	spans := slices.Clone(f.spans)
	slices.SortStableFunc(spans, func(a, b span) int { return int(int64(a.StartTimestamp()) - int64(b.StartTimestamp())) })
	var paths []string
	for _, s := range spans {
		a := s.Attributes()
		if get(a, "http.request.method") == nil {
			continue
		}
		path := text(a, "url.path")
		if s.Kind() == ptrace.SpanKindClient {
			path = strings.TrimPrefix(text(a, "url.full"), "http://scenario.test")
		}
		paths = append(paths, path)
	}
	if paths == nil {
		return []string{""}
	}
	return paths
}

// check compares the telemetry of a flow with the truth.
func (f *emittedFlow) check(wrong *findings, mode receiver.Mode, truth *workload.Flow) {
	about := truth.Step + ": " + f.String()
	if f.end == nil {
		wrong.add("%s: its end is not emitted", about)
		return
	}
	a := f.end.Attributes()
	f.checkAddresses(wrong, mode, about, truth)
	// In the syscall mode it is read from /proc: a process may have ended by then. TestNamespacesStayApart demands it.
	if netns := get(a, "socketflow.netns"); mode == receiver.ModeSocket || netns != nil {
		wrong.equal(int64(truth.NetNS), netns, "%s: network namespace", about)
	}
	wrong.equal(int64(truth.PID), number(f.end.resource, "process.pid"), "%s: process", about)
	if truth.Failed {
		wrong.equal(true, f.open == nil, "%s: it was never open", about)
		return
	}
	if f.open == nil {
		wrong.add("%s: its opening is not emitted", about)
	}
	wrong.equal(int64(truth.Sent), get(a, "socketflow.bytes.sent"), "%s: sent", about)
	wrong.equal(int64(truth.Received), get(a, "socketflow.bytes.received"), "%s: received", about)
	wrong.equal("complete", text(a, "socketflow.capture"), "%s: capture", about)
	want := truth.Requests
	if len(want) == 0 {
		want = []string{""}
	}
	wrong.equal(want, f.paths(), "%s: requests", about)
	server := truth.PID // requests belong to the process that serves them, the connection to the one that opened or accepted it
	if truth.ServedBy != 0 {
		server = truth.ServedBy
	}
	for _, s := range f.spans {
		wrong.equal(int64(server), number(s.resource, "process.pid"), "%s: process of the span %s", about, s.Name())
		if get(s.Attributes(), "http.request.method") != nil {
			wrong.equal("complete", text(s.Attributes(), "socketflow.capture"), "%s: capture of %s", about, s.Name())
			wrong.equal(int64(200), get(s.Attributes(), "http.response.status_code"), "%s: status of %s", about, s.Name())
		}
	}
}

// checkAddresses: every address in the telemetry of the flow is true. An address that a call showed is there. An unknown address
// is left out, and the source says so.
func (f *emittedFlow) checkAddresses(wrong *findings, mode receiver.Mode, about string, truth *workload.Flow) {
	all := map[string]pcommon.Map{"close": f.end.Attributes()}
	if f.open != nil {
		all["open"] = f.open.Attributes()
	}
	for i, s := range f.spans {
		all[fmt.Sprint("span ", i)] = s.Attributes()
	}
	for name, a := range all {
		source := text(a, "socketflow.address.source")
		guessed := source == "unknown" || source == "container"
		if mode == receiver.ModeSocket && !truth.Failed {
			wrong.equal("sock", source, "%s (%s): source of the addresses", about, name)
		}
		for _, end := range ends(truth) {
			emitted, want := end.emitted(a), end.true()
			ip, portless := strings.CutSuffix(emitted, noPort)
			switch {
			case emitted == want || truth.Failed && !end.remote:
			case guessed && end.unknown() && (emitted == "" || portless && strings.HasPrefix(want, ip+":")):
			default:
				wrong.add("%s (%s): %s is emitted as %q (source %s), and is %s", about, name, end, emitted, source, want)
			}
		}
	}
}
