package protocol

import (
	"fmt"
	"strings"
	"testing"
)

const (
	traceID = "0af7651916cd43dd8448eb211c80319c"
	spanID  = "b7ad6b7169203331"
	sampled = "00-" + traceID + "-" + spanID + "-01"
)

func TestTraceparents(t *testing.T) {
	for _, c := range [...]struct {
		name, value string
		flags       byte
		ok          bool
	}{
		{"sampled", sampled, 1, true},
		{"not sampled", "00-" + traceID + "-" + spanID + "-00", 0, true},
		{"flags that are not defined yet", "00-" + traceID + "-" + spanID + "-ff", 0xff, true},
		{"later version", "cc-" + traceID + "-" + spanID + "-01", 1, true},
		{"later version that is longer", "cc-" + traceID + "-" + spanID + "-01-what-will-be", 1, true},
		{"later version that ends in a dash", "cc-" + traceID + "-" + spanID + "-01-", 1, true},

		{"empty", "", 0, false},
		{"later version that goes on without a dash", "cc-" + traceID + "-" + spanID + "-01.what", 0, false},
		{"version 00 that is longer", sampled + "-what", 0, false},
		{"version 00 that is longer by a dash", sampled + "-", 0, false},
		{"version ff", "ff-" + traceID + "-" + spanID + "-01", 0, false},
		{"version in upper case", "CC-" + traceID + "-" + spanID + "-01", 0, false},
		{"trace id in upper case", "00-" + strings.ToUpper(traceID) + "-" + spanID + "-01", 0, false},
		{"span id in upper case", "00-" + traceID + "-" + strings.ToUpper(spanID) + "-01", 0, false},
		{"flags in upper case", "00-" + traceID + "-" + spanID + "-0A", 0, false},
		{"flags that are no digits", "00-" + traceID + "-" + spanID + "-.0", 0, false},
		{"trace id of zeros", "00-" + strings.Repeat("0", 32) + "-" + spanID + "-01", 0, false},
		{"span id of zeros", "00-" + traceID + "-" + strings.Repeat("0", 16) + "-01", 0, false},
		{"one digit less", sampled[:54], 0, false},
		{"other separators", strings.ReplaceAll(sampled, "-", "_"), 0, false},
		{"one other separator", strings.Replace(sampled, "-01", "_01", 1), 0, false},
		{"space before it", " " + sampled[:54], 0, false},
		{"not ASCII", "00-" + traceID[:31] + "\xff-" + spanID + "-01", 0, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, ok := ParseTraceparent([]byte(c.value))
			if ok != c.ok || got.Valid() != c.ok || got.Flags != c.flags {
				t.Fatalf("%+v, %v", got, ok)
			}
			if !ok && got != (TraceContext{}) {
				t.Errorf("%+v of what is not valid", got)
			}
			if ok && (fmt.Sprintf("%x", got.TraceID) != traceID || fmt.Sprintf("%x", got.SpanID) != spanID) {
				t.Errorf("%x-%x", got.TraceID, got.SpanID)
			}
		})
	}
}

func TestParsingATraceparentDoesNotAllocate(t *testing.T) {
	value := []byte(sampled)
	if got := testing.AllocsPerRun(100, func() { ParseTraceparent(value) }); got != 0 {
		t.Errorf("%v allocations", got)
	}
}

// Every accepted value has the form that the specification demands, and formatting the result gives the value back.
func FuzzTraceparent(f *testing.F) {
	f.Add([]byte(sampled))
	f.Add([]byte("cc-" + traceID + "-" + spanID + "-01-more"))
	f.Add([]byte(strings.ToUpper(sampled)))
	f.Fuzz(func(t *testing.T, value []byte) {
		got, ok := ParseTraceparent(value)
		if !ok {
			if got != (TraceContext{}) {
				t.Errorf("%+v of %q", got, value)
			}
			return
		}
		if !got.Valid() {
			t.Errorf("%q has zeros for an id", value)
		}
		want := fmt.Sprintf("%s-%x-%x-%02x", value[:2], got.TraceID, got.SpanID, got.Flags)
		if string(value[:len(want)]) != want {
			t.Errorf("%q is read as %s", value, want)
		}
	})
}
