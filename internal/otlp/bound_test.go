package otlp

import (
	"slices"
	"strings"
	"testing"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/socketflow/socketflow/internal/process"
	"github.com/socketflow/socketflow/internal/protocol"
)

// cutNames are the attributes that are said to be cut.
func cutNames(of pcommon.Map) (names []string) {
	list, found := of.Get(truncated)
	if !found {
		return nil
	}
	for _, name := range list.Slice().All() {
		names = append(names, name.Str())
	}
	return names
}

func TestLongValuesAreCutMarkedAndCounted(t *testing.T) {
	const length = 1000
	b := newBuilder(Options{AttributeLength: length})
	x := ownExchange(protocol.Key{Name: "url.full"}, protocol.Key{Name: "url.path"}, protocol.Key{Name: "headers", Type: protocol.List}, protocol.Key{Name: "escaped"},
		protocol.Key{Name: "runes"}, protocol.Key{Name: "status", Type: protocol.Int})
	long := strings.Repeat("u", length+1)
	x.SetText(0, []byte(long))
	x.SetText(1, []byte(long[1:]))
	x.SetList(2, []string{"a", long, long})
	x.SetText(3, []byte(strings.Repeat("\n", length-1)))
	x.SetText(4, []byte(strings.Repeat("é", length)))
	x.SetInt(5, 200)
	emitExchange(b, connect(), x)
	_, traces := b.Take()
	got := spansOf(traces)[0].Attributes()

	if names, want := cutNames(got), []string{"url.full", "headers", "escaped", "runes"}; !slices.Equal(names, want) {
		t.Errorf("marked are %q, want %q", names, want)
	}
	if b.Truncated() != 5 {
		t.Errorf("%d values are counted, want 5", b.Truncated())
	}
	for key, want := range map[string]string{
		"url.full": long[:length], "url.path": long[:length], "escaped": strings.Repeat(`\n`, length/2), "runes": strings.Repeat("é", length/2),
	} {
		if v, _ := got.Get(key); v.Str() != want {
			t.Errorf("%s has %d bytes: %.40s", key, len(v.Str()), v.Str())
		}
	}
	list, _ := got.Get("headers")
	if want := []any{"a", long[:length], long[:length]}; !slices.Equal(list.Slice().AsRaw(), want) {
		t.Errorf("the list is %v", list.Slice().AsRaw())
	}

	emitExchange(b, connect(), ownExchange(protocol.Key{Name: "url.full"}))
	_, traces = b.Take()
	if names := cutNames(spansOf(traces)[0].Attributes()); names != nil {
		t.Errorf("the next span has %q", names)
	}
}

func TestLongResourceAttributesAreCut(t *testing.T) {
	b := newBuilder(Options{Omitted: []string{}})
	p := curl()
	p.Executable = "/" + strings.Repeat("x", 4000)
	p.CommandLine = []string{"a", strings.Repeat("b", 10_000)}
	p.ResourceAttributes = []process.Attribute{{Key: "note", Value: strings.Repeat("n", defaultLength)}}
	b.Opened(connect(of(p)))
	logs, _ := b.Take()
	attributes := logs.ResourceLogs().At(0).Resource().Attributes()
	for _, name := range cutNames(attributes) {
		v, _ := attributes.Get(name)
		textsOfValue(name, v, func(_, text string) {
			if len(text) > defaultLength {
				t.Errorf("%s has %d bytes", name, len(text))
			}
		})
	}
	if names := cutNames(attributes); !slices.Contains(names, processExecutablePath) || !slices.Contains(names, processCommandArgs) || slices.Contains(names, "note") {
		t.Errorf("marked are %q", names)
	}
}

func TestWhatWasCutBeforeIsMarked(t *testing.T) {
	b := newBuilder(Options{Omitted: []string{}})
	p := curl()
	p.CommandLine, p.CommandLineCut = []string{"curl", strings.Repeat("b", 500), strings.Repeat("c", 3000)}, true
	p.ResourceAttributes = []process.Attribute{
		{Key: "note", Value: strings.Repeat("n", 1024), Cut: true}, {Key: "whole", Value: "v"},
		{Key: processOwner, Value: "somebody", Cut: true}, // it is not what the attribute has
	}
	p.Owner = "root"
	b.Opened(connect(of(p)))
	logs, _ := b.Take()
	names := cutNames(logs.ResourceLogs().At(0).Resource().Attributes())
	if want := []string{processCommandArgs, "note"}; !slices.Equal(names, want) {
		t.Errorf("marked are %q, want %q", names, want)
	}
}

// What a report itself adds is not checked: it has to be shorter than the shortest bound.
func TestReportsAreShorterThanAnyBound(t *testing.T) {
	const shortest, longestUnixName, longestHost = 512, 108, 255
	for _, text := range hostileTexts {
		b := newBuilder(Options{AttributeLength: shortest})
		name := strings.Repeat(text, longestUnixName)[:longestUnixName]
		x := hostileExchange(text)
		x.Server, x.Protocol, x.Version, x.Error = strings.Repeat("h", longestHost), "p", "v", "e"
		c := connect()
		overUnix(name, name, 7)(c)
		emitExchange(b, c, x)
		b.Failed(c)
		logs, traces := b.Take()
		textsOf(logs, traces, func(where, got string) {
			if len(got) > shortest && where != "body" && where != "state" && where != "span" && where != "status" && where != "link" {
				t.Errorf("%s has %d bytes", where, len(got))
			}
		})
	}
}
