package http

import (
	"fmt"
	"strings"
	"testing"

	"github.com/socketflow/socketflow/internal/protocol"
)

const (
	trace128 = "0af7651916cd43dd8448eb211c80319c"
	trace64  = "8448eb211c80319c"
	spanHex  = "b7ad6b7169203331"
	spanTen  = "13235353014750950193" // the same
)

// parentOf is the parent of a request with these header fields, "trace-span-flags", or "" if it has none.
func parentOf(t testing.TB, pool *Pool, headers string) string {
	t.Helper()
	m := pool.Get(&protocol.Session{Side: protocol.Server}, new(Account))
	defer pool.Put(m)
	for _, line := range strings.Split(headers, "\n") {
		name, value, _ := strings.Cut(line, ": ")
		m.RequestHeader([]byte(name), []byte(value))
	}
	parent := m.parentContext()
	if !parent.Valid() {
		return ""
	}
	return fmt.Sprintf("%x-%x-%02x%s", parent.TraceID, parent.SpanID, parent.Flags, parent.State)
}

func poolOf(t testing.TB, propagators []string) *Pool {
	t.Helper()
	config := &Config{Propagators: propagators}
	keys, err := protocol.NewKeys(Keys(config))
	if err != nil {
		t.Fatal(err)
	}
	return NewPool(&protocol.Settings{Config: config, Keys: keys})
}

func TestTraceContextsOfAllForms(t *testing.T) {
	const (
		whole = trace128 + "-" + spanHex + "-01"
		off   = trace128 + "-" + spanHex + "-00"
		short = "0000000000000000" + trace64 + "-" + spanHex + "-01"
	)
	pool := poolOf(t, nil)
	for headers, want := range map[string]string{
		"traceparent: 00-" + trace128 + "-" + spanHex + "-00\ntracestate: a=b": off + "a=b",

		"b3: " + trace128 + "-" + spanHex + "-1-05e3ac9a4f6e3b90":                                      whole,
		"B3: " + strings.ToUpper(trace128) + "-" + spanHex + "-d":                                      whole,
		"b3: " + trace64 + "-" + spanHex:                                                               short,
		"b3: " + trace128 + "-" + spanHex + "-0":                                                       off,
		"b3: 0":                                                                                        "",
		"X-B3-TraceId: " + trace128 + "\nX-B3-SpanId: " + spanHex:                                      whole,
		"x-b3-sampled: 0\nx-b3-spanid: " + spanHex + "\nx-b3-traceid: " + trace128:                     off,
		"x-b3-sampled: false\nx-b3-spanid: " + spanHex + "\nx-b3-traceid: " + trace64:                  strings.TrimSuffix(short, "1") + "0",
		"x-b3-traceid: " + trace128:                                                                    "",
		"x-b3-traceid: " + trace128 + "\nx-b3-traceid: " + trace64 + "\nx-b3-spanid: " + spanHex:       whole,
		"uber-trace-id: " + trace128 + ":" + spanHex + ":0:1":                                          whole,
		"uber-trace-id: " + trace128 + "%3A" + spanHex + "%3A0%3A3":                                    whole,
		"uber-trace-id: af7651916cd43dd8448eb211c80319c:" + spanHex + ":0:0":                           off,
		"uber-trace-id: " + trace64 + ":" + spanHex:                                                    short,
		"uber-trace-id: 0:0:0:1":                                                                       "",
		"X-Amzn-Trace-Id: Root=1-0af76519-16cd43dd8448eb211c80319c;Parent=" + spanHex + ";Sampled=1":   whole,
		"x-amzn-trace-id: Sampled=0; Parent=" + spanHex + "; Root=1-0af76519-16cd43dd8448eb211c80319c": off,
		"x-amzn-trace-id: Self=1-1-2;Root=1-0af76519-16cd43dd8448eb211c80319c":                         "",
		"X-Cloud-Trace-Context: " + trace128 + "/" + spanTen + ";o=1":                                  whole,
		"x-cloud-trace-context: " + trace128 + "/" + spanTen:                                           whole,
		"x-cloud-trace-context: " + trace128 + "/" + spanTen + ";o=0":                                  off,
		"x-cloud-trace-context: " + trace128:                                                           "",
		"x-datadog-trace-id: 9532127138774266268\nx-datadog-parent-id: " + spanTen + "\nx-datadog-tags: _dd.p.dm=-1,_dd.p.tid=0af7651916cd43dd": whole,
		"x-datadog-parent-id: " + spanTen + "\nx-datadog-trace-id: 9532127138774266268\nx-datadog-sampling-priority: 2":                         short,
		"x-datadog-parent-id: " + spanTen + "\nx-datadog-trace-id: 9532127138774266268\nx-datadog-sampling-priority: -1":                        strings.TrimSuffix(short, "1") + "0",

		"b3: " + trace128 + "-" + spanHex + "x":                                     "",
		"b3: 0" + trace128 + "-" + spanHex:                                          "",
		"x-datadog-trace-id: 99999999999999999999\nx-datadog-parent-id: " + spanTen: "",
		"x-datadog-trace-id: -1\nx-datadog-parent-id: " + spanTen:                   "",
		"uber-trace-id: ":           "",
		"x-cloud-trace-context: /":  "",
		"x-request-id: " + trace128: "",
	} {
		if got := parentOf(t, pool, headers); got != want {
			t.Errorf("%q: %q, want %q", headers, got, want)
		}
	}
}

func TestFirstFormOfTheOrderCounts(t *testing.T) {
	const headers = "b3: " + trace64 + "-" + spanHex + "-0\nx-cloud-trace-context: " + trace128 + "/5\ntraceparent: 00-" + trace128 + "-" + spanHex + "-01"
	for _, test := range []struct {
		order []string
		want  string
	}{
		{nil, trace128 + "-" + spanHex + "-01"},
		{[]string{"b3", "tracecontext"}, "0000000000000000" + trace64 + "-" + spanHex + "-00"},
		{[]string{"xray", "gcp", "b3"}, trace128 + "-0000000000000005-01"},
		{[]string{"jaeger"}, ""},
		{[]string{}, ""},
	} {
		if got := parentOf(t, poolOf(t, test.order), headers); got != test.want {
			t.Errorf("%q: %q, want %q", test.order, got, test.want)
		}
	}
}

func TestPropagatorsAreValidated(t *testing.T) {
	for want, propagators := range map[string][]string{
		"": propagatorNames[:],
		`propagators: "w3c" is not known; write one of tracecontext, b3, jaeger, datadog, xray, gcp, skywalking`: {"w3c", "b3"},
		`propagators: "b3" is listed twice; write it once`:                                                       {"b3", "jaeger", "b3"},
	} {
		config := &Config{Propagators: propagators}
		got := ""
		if err := config.Validate(); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%q: %q, want %q", propagators, got, want)
		}
	}
}

func TestTraceContextOfAnEarlierRequestIsForgotten(t *testing.T) {
	pool := poolOf(t, nil)
	if parentOf(t, pool, "b3: "+trace128+"-"+spanHex+"-0") == "" {
		t.Fatal("there is none")
	}
	if got := parentOf(t, pool, "x-b3-spanid: "+spanHex); got != "" {
		t.Errorf("%q is from the request before", got)
	}
}

func TestTraceContextsDoNotAllocate(t *testing.T) {
	pool := poolOf(t, nil)
	m := pool.Get(&protocol.Session{Side: protocol.Server}, new(Account))
	name, value := []byte("b3"), []byte(trace128+"-"+spanHex+"-1")
	m.RequestHeader(name, value)
	if got := testing.AllocsPerRun(100, func() { m.RequestHeader(name, value) }); got != 0 {
		t.Errorf("%v allocations", got)
	}
}

// Whatever a field says, a parent is whole or there is none.
func FuzzPropagation(f *testing.F) {
	for _, fields := range fieldsOf {
		for _, name := range fields {
			f.Add(name, []byte(trace128+"-"+spanHex+"-1"), []byte("Root=1-0af76519-16cd43dd8448eb211c80319c;Parent="+spanHex))
		}
	}
	pool := poolOf(f, nil)
	f.Fuzz(func(t *testing.T, name string, first, second []byte) {
		m := pool.Get(&protocol.Session{Side: protocol.Server}, new(Account))
		defer pool.Put(m)
		m.RequestHeader([]byte(name), first)
		m.RequestHeader([]byte(name), second)
		if parent := m.parentContext(); !parent.Valid() && parent != (protocol.TraceContext{}) {
			t.Errorf("half a parent: %+v", parent)
		}
	})
}
