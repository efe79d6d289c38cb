//go:build e2e && linux

package e2e

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"

	"github.com/stretchr/testify/assert"
)

// conversation is the telemetry of one end of a connection.
type conversation struct {
	open, end *record
	repeated  int // records that were emitted before
	exchanges []*span
}

// record adds a log record.
func (c *conversation) record(r *record) {
	at := &c.end
	if r.event == opened {
		at = &c.open
	}
	if *at != nil {
		c.repeated++
	}
	*at = r
}

// item is the most complete item of it: the last one.
func (c *conversation) item() *item {
	switch {
	case c.end != nil:
		return &c.end.item
	case c.open != nil:
		return &c.open.item
	}
	return &c.exchanges[0].item
}

// ends of a conversation: empty if they are not known, :0 if the port is not.
func (c *conversation) ends() (local, remote string) {
	i := c.item()
	end := func(which string) string {
		address := i.text(which + ".address")
		if address == "" || i.text("network.transport") == "unix" {
			return address
		}
		return fmt.Sprint(address, ":", max(0, i.number(which+".port")))
	}
	return end("network.local"), end("network.peer")
}

// kind is the kind of a conversation: only those of one kind can be the same. For Unix sockets the role is compared later, and
// does not distinguish them.
func (c *conversation) kind() string {
	i := c.item()
	failure := c.end != nil && c.end.event == failed
	return fmt.Sprint(i.pid(), " ", i.text("network.transport"), " ", failure)
}

// String is its name in a table.
func (c *conversation) String() string {
	local, remote := c.ends()
	return fmt.Sprintf("pid %s %s -> %s %s", c.kind(), local, remote, c.item().text("socketflow.role.name"))
}

func exchangesOf(all []*conversation) (n int) {
	for _, c := range all {
		n += len(c.exchanges)
	}
	return n
}

// difference is one fact in which two modes differ, or that one of them lacks.
type difference struct {
	workload string
	what     string    // the same for all differences of a kind
	in       [2]string // the value in each mode
	about    string
}

type differences []difference

// nothing is the value if a mode emits none.
const nothing = "-"

// compare compares the telemetry of a workload in two modes.
func compare(workload string, a, b []*conversation) (all differences) {
	add := func(what, one, other, about string) {
		if one != other {
			all = append(all, difference{workload, what, [2]string{one, other}, about})
		}
	}
	left := pairUp(a, b, func(one, other *conversation) { compareConversations(one, other, add) })
	for _, c := range left[0] {
		add("a connection is emitted", c.String(), nothing, c.String())
	}
	for _, c := range left[1] {
		add("a connection is emitted", nothing, c.String(), c.String())
	}
	return all
}

// pairUp finds the telemetry of the same end of a connection in two modes: first by both addresses, where both modes know both;
// then, where one does not, by the rest. It returns those that are left.
func pairUp(a, b []*conversation, found func(one, other *conversation)) [2][]*conversation {
	byKind := map[string][]*conversation{}
	for _, c := range b {
		byKind[c.kind()] = append(byKind[c.kind()], c)
	}
	for _, exact := range []bool{true, false} {
		var left []*conversation
		for _, c := range a {
			others := byKind[c.kind()]
			i := bestMatch(c, others, exact)
			if i < 0 {
				left = append(left, c)
				continue
			}
			found(c, others[i])
			byKind[c.kind()] = slices.Delete(others, i, i+1)
		}
		a = left
	}
	return [2][]*conversation{a, slices.Concat(slices.Collect(maps.Values(byKind))...)}
}

// bestMatch is the index of the conversation that is most similar; -1: none can be the same.
func bestMatch(c *conversation, others []*conversation, exact bool) int {
	best, most := -1, -1
	local, remote := c.ends()
	for i, o := range others {
		otherLocal, otherRemote := o.ends()
		points := 0
		switch {
		case local == otherLocal && remote == otherRemote:
			points += 4
		case exact || !mayBe(local, otherLocal) || !mayBe(remote, otherRemote):
			continue
		}
		if c.item().text("socketflow.role.name") == o.item().text("socketflow.role.name") {
			points++
		}
		if c.target(0) == o.target(0) {
			points += 2
		}
		if c.bytes() == o.bytes() {
			points++
		}
		if points > most {
			best, most = i, points
		}
	}
	return best
}

// mayBe reports whether two texts can be the same end, of which one mode may know only a part.
func mayBe(one, other string) bool {
	known := func(end string) (address, port string) {
		if i := strings.LastIndexByte(end, ':'); i >= 0 && end[i:] != ":0" {
			return end[:i], end[i:]
		}
		return strings.TrimSuffix(end, ":0"), ""
	}
	address, port := known(one)
	otherAddress, otherPort := known(other)
	return (address == "" || otherAddress == "" || address == otherAddress) && (port == "" || otherPort == "" || port == otherPort)
}

func (c *conversation) bytes() string {
	i := c.item()
	return fmt.Sprint(i.number("socketflow.bytes.sent"), i.number("socketflow.bytes.received"))
}

// target is the target of an exchange, in the order in which they began; empty if there is none of that number.
func (c *conversation) target(i int) string {
	slices.SortStableFunc(c.exchanges, func(a, b *span) int { return a.began.Compare(b.began) })
	if i >= len(c.exchanges) {
		return ""
	}
	return exchangeKey(c.exchanges[i])
}

// exchangeKey is the part that two spans of the same exchange share.
func exchangeKey(s *span) string {
	return strings.Join([]string{
		s.kind.String(), s.name, s.text("http.request.method"), s.text("url.full"), s.text("url.path"), s.text("url.query"), s.text("rpc.method"),
	}, " ")
}

// compareConversations compares the telemetry of one end of a connection.
func compareConversations(a, b *conversation, add func(what, one, other, about string)) {
	about := a.String()
	add("records that were emitted before", fmt.Sprint(a.repeated), fmt.Sprint(b.repeated), about)
	for _, r := range []struct {
		name string
		of   [2]*record
	}{{"open", [2]*record{a.open, b.open}}, {"end", [2]*record{a.end, b.end}}} {
		switch {
		case r.of[0] == nil && r.of[1] == nil:
		case r.of[0] == nil:
			add(r.name+" is emitted", nothing, r.of[1].event, about)
		case r.of[1] == nil:
			add(r.name+" is emitted", r.of[0].event, nothing, about)
		default:
			add(r.name+": event", r.of[0].event, r.of[1].event, about)
			add(r.name+": severity", r.of[0].severity.String(), r.of[1].severity.String(), about)
			compareItems(r.name, &r.of[0].item, &r.of[1].item, about, add)
		}
	}
	compareExchanges(a, b, about, add)
}

// compareExchanges compares the exchanges of a connection, each with the one at the same position among those with the same key.
func compareExchanges(a, b *conversation, about string, add func(what, one, other, about string)) {
	others := map[string][]*span{}
	b.target(0) // sorts them
	for _, s := range b.exchanges {
		others[exchangeKey(s)] = append(others[exchangeKey(s)], s)
	}
	a.target(0)
	for _, s := range a.exchanges {
		key := exchangeKey(s)
		if len(others[key]) == 0 {
			add("an exchange is emitted", key, nothing, about)
			continue
		}
		other := others[key][0]
		others[key] = others[key][1:]
		add("span: status", s.status.String(), other.status.String(), about+" "+key)
		add("span: message", s.message, other.message, about+" "+key)
		compareItems("span", &s.item, &other.item, about+" "+key, add)
	}
	for key, left := range others {
		for range left {
			add("an exchange is emitted", nothing, key, about)
		}
	}
}

// notCompared are attributes that differ between receivers, or that they measure.
var notCompared = map[string]bool{
	"socketflow.connection.id": true, // from the kernel's cookie or the receiver's own number
	"socketflow.duration":      true, // measured at different places of the same call
}

// compareItems compares attributes and resources.
func compareItems(name string, a, b *item, about string, add func(what, one, other, about string)) {
	for prefix, of := range map[string][2]map[string]any{
		name + ": ": {a.attributes, b.attributes}, name + ": resource: ": {a.process, b.process},
	} {
		keys := maps.Clone(of[0])
		maps.Copy(keys, of[1])
		for key := range keys {
			if !notCompared[key] {
				add(prefix+key, valueOf(of[0], key), valueOf(of[1], key), about)
			}
		}
	}
}

func valueOf(attributes map[string]any, key string) string {
	v, found := attributes[key]
	if !found {
		return nothing
	}
	return fmt.Sprint(v)
}

// String is a table: the difference, how often and in which workloads it occurs, with an example.
func (d differences) String() string {
	type row struct {
		difference
		count     int
		workloads map[string]int
	}
	rows := map[string]*row{}
	for _, x := range d {
		key := x.what
		if slices.ContainsFunc(allowedDifferences, func(a allowedDifference) bool { return a.covers(&x) }) {
			key = "(allowed) " + key
		}
		r := rows[key]
		if r == nil {
			r = &row{difference: x, workloads: map[string]int{}}
			r.what = key
			rows[key] = r
		}
		r.count++
		r.workloads[x.workload]++
	}
	sorted := slices.SortedFunc(maps.Values(rows), func(a, b *row) int { return cmp.Compare(a.what, b.what) })
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintf(w, "%d differences\nwhat\ttimes\tin %s\tin %s\texample\tworkloads\n", len(d), comparedModes[0], comparedModes[1])
	for _, r := range sorted {
		_, _ = fmt.Fprintf(w, "%s\t%d\t%.80s\t%.80s\t%s: %.120s\t%v\n", r.what, r.count, r.in[0], r.in[1], r.workload, r.about, r.workloads)
	}
	_ = w.Flush() // a strings.Builder returns no error, here and above
	return b.String()
}

// allowedDifference is an allowed difference between two modes.
type allowedDifference struct {
	what      []string  // attributes, in all items, or else difference.what; each has to occur
	in        [2]string // the values in the modes; empty: any
	workloads []string  // only in these; none: in all
	timing    bool      // it depends on timing, and need not occur
	reason    string
}

// allowedDifferences are all that there may be. The table in docs is made of them.
var allowedDifferences = []allowedDifference{
	{
		what:   []string{"socketflow.address.source"},
		in:     [2]string{"sock"},
		reason: "how addresses are known is what the modes differ in",
	}, {
		what:   []string{"socketflow.parent.source"},
		in:     [2]string{"", ""},
		reason: "causes within a process are not looked for, and fewer ends of connections are joined",
	}, {
		what:   []string{"socketflow.segments.sent", "socketflow.segments.received", "socketflow.tcp.retransmits", "socketflow.tcp.rtt"},
		in:     [2]string{"", nothing},
		reason: "no system call of the program shows what the kernel counts",
	}, {
		what:   []string{"socketflow.end.by"},
		in:     [2]string{"remote", "local"},
		reason: "who closes and has not read to the end does not learn that the other end had closed before",
	}, {
		what:   []string{"socketflow.end.how"},
		in:     [2]string{"rst", "fin"},
		reason: "a reset that no call returns is not seen",
	}, {
		what:      []string{"network.local.port"},
		in:        [2]string{"", nothing},
		workloads: []string{"c-plain", "php", "python-chain", "nginx-curl", "connections"},
		timing:    true,
		reason:    "the tracepoint shows the port of an attempt when it has ended, and the program gave it up before",
	}, {
		what:      []string{"severity", "error.type"},
		workloads: []string{"go-h2c"},
		timing:    true,
		reason:    "a reset that no call returns is not seen",
	}, {
		what:      []string{"socketflow.bytes.sent", "socketflow.bytes.received"},
		workloads: []string{"go-h2c"},
		timing:    true,
		reason:    "what was under way when a connection was reset",
	}, {
		what:      []string{"socketflow.bytes.received"},
		workloads: []string{"connections"},
		timing:    true,
		reason:    "bytes that had come when the socket was closed, and that nobody read",
	}, {
		what:      []string{"end is emitted", "an exchange is emitted"},
		in:        [2]string{nothing},
		workloads: []string{"nginx-curl"},
		timing:    true,
		reason:    "the end of a Unix socket that nobody reads to its end: the socket mode looks for it once a minute",
	}, {
		what:   []string{"socketflow.peer.pid"},
		in:     [2]string{"", nothing},
		reason: "no call shows who has the other end of a Unix socket",
	}, {
		what:   []string{"socketflow.netns"},
		in:     [2]string{"", nothing},
		timing: true,
		reason: "the process was gone within milliseconds of entering the namespace, before /proc was read",
	}, {
		what:      []string{"resource: service.name"},
		in:        [2]string{"nginx", "nginx-curl-nginx"},
		workloads: []string{"nginx-curl"},
		timing:    true,
		reason:    "nginx writes its title over its environment, where the socket mode looks; the argument of execve names the service",
	}, {
		what:      []string{"resource: socketflow.service.source"},
		in:        [2]string{"executable", "OTEL_SERVICE_NAME"},
		workloads: []string{"nginx-curl"},
		timing:    true,
		reason:    "the same",
	}, {
		what:   []string{"resource: process.creation.time"},
		in:     [2]string{"", nothing},
		timing: true,
		reason: "the process was gone before /proc was read: it is only known when it was first seen",
	}, {
		what:   []string{"resource: service.instance.id"},
		timing: true,
		reason: "the same: the time when it was first seen stands for its start",
	}, {
		what:   []string{"resource: process.owner"},
		timing: true,
		reason: "the process has taken another user since its first socket, which one mode has seen and the other has not",
	},
}

// attribute is the differing attribute, without the item.
func (d *difference) attribute() string {
	for _, where := range []string{"open: ", "end: ", "span: "} {
		if attribute, found := strings.CutPrefix(d.what, where); found {
			return attribute
		}
	}
	return d.what
}

func (a *allowedDifference) covers(d *difference) bool {
	return slices.Contains(a.what, d.attribute()) && (a.in[0] == "" || a.in[0] == d.in[0]) && (a.in[1] == "" || a.in[1] == d.in[1]) &&
		(a.workloads == nil || slices.Contains(a.workloads, d.workload))
}

// requireAllowed fails for each difference that is not allowed, and for each allowed one that does not occur.
func (d differences) requireAllowed(t *testing.T) {
	t.Helper()
	for _, problem := range d.problems(allowedDifferences) {
		assert.Fail(t, problem)
	}
}

func (d differences) problems(allowed []allowedDifference) (problems []string) {
	occurs := map[string]bool{} // by the index of the allowed difference, and attribute
	counted := map[string]int{}
	for i := range d {
		at := slices.IndexFunc(allowed, func(a allowedDifference) bool { return a.covers(&d[i]) })
		if at >= 0 {
			occurs[fmt.Sprint(at, d[i].attribute())] = true
			continue
		}
		const enough = 3 // of each kind
		if counted[d[i].what]++; counted[d[i].what] <= enough {
			problems = append(problems, fmt.Sprintf("%s: %s is %s in mode %s, and %s in mode %s: %s",
				d[i].workload, d[i].what, d[i].in[0], comparedModes[0], d[i].in[1], comparedModes[1], d[i].about))
		}
	}
	for i, a := range allowed {
		if a.timing {
			continue
		}
		for _, what := range a.what {
			if !occurs[fmt.Sprint(i, what)] {
				problems = append(problems, fmt.Sprintf("%s may differ (%s), and does not any more", what, a.reason))
			}
		}
	}
	return problems
}
