package http

import (
	"strings"
	"testing"

	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/protocoltest"
)

// carried is what a request hands over.
func carried(script string) protocol.Carried {
	var sink protocoltest.Recorder
	m := server.get(server.pool())
	apply(m, "GET /\n"+script)
	id := sink.Begin(&protocol.Request{})
	m.Continue(&sink, id)
	return sink.Carried[id]
}

func TestRequestsWithTheSameIDHaveTheSameHash(t *testing.T) {
	longest := strings.Repeat("i", maxRequestID)
	for name, test := range map[string]struct{ one, other string }{
		"names are in any case":              {"X-Request-ID: 01234567", "x-request-id: 01234567"},
		"space is not part of it":            {"X-Request-Id: 01234567", "X-Request-Id:   01234567  "},
		"a correlation id":                   {"X-Correlation-ID: 01234567", "x-correlation-id: 01234567"},
		"one of both kinds":                  {"X-Correlation-ID: 01234567", "X-Request-ID: 01234567"},
		"the request's says more":            {"X-Request-ID: 01234567\nX-Correlation-ID: 76543210", "X-Correlation-ID: abcdefgh\nX-Request-ID: 01234567"},
		"several correlation ids, of no use": {"X-Request-ID: 01234567", "X-Correlation-ID: a2345678\nX-Correlation-ID: b2345678\nX-Request-ID: 01234567"},
		"of the longest length":              {"X-Request-ID: " + longest, "X-Request-ID: " + longest},
		"beside a trace context":             {"X-Request-ID: 01234567\ntraceparent: " + parent, "X-Request-ID: 01234567"},
	} {
		one, other := carried(test.one).RequestID, carried(test.other).RequestID
		if one == 0 || one != other {
			t.Errorf("%s: %x, %x", name, one, other)
		}
	}
	if carried("X-Request-ID: 01234567").RequestID == carried("X-Request-ID: 01234568").RequestID {
		t.Error("two ids have the same hash")
	}
}

func TestRequestsWithoutAnIDThatSaysSomething(t *testing.T) {
	for name, script := range map[string]string{
		"none":                               "",
		"only a trace context":               "traceparent: " + parent,
		"empty":                              "X-Request-ID: ",
		"short":                              "X-Request-ID: 0123456",
		"long":                               "X-Request-ID: " + strings.Repeat("i", maxRequestID+1),
		"several":                            "X-Request-ID: 01234567\nX-Request-ID: 76543210",
		"several, and the same":              "X-Request-ID: 01234567\nX-Request-ID: 01234567",
		"several, of which the first is bad": "X-Request-ID: 0\nX-Request-ID: 01234567",
		"three":                              "X-Request-ID: 01234567\nX-Request-ID: 01234567\nX-Request-ID: 01234567",
		"another name of the same length":    "X-Request-IE: 01234567\nX-Correlation-IE: 01234567",
	} {
		if id := carried(script).RequestID; id != 0 {
			t.Errorf("%s: %x", name, id)
		}
	}
	if c := carried("X-Request-ID: 01234567\ntraceparent: " + parent); !c.Parent.Valid() {
		t.Error("there is no trace context beside the id")
	}
	if c := carried("X-Request-ID: 01234567\ntraceparent: x"); c.Parent.Valid() || c.RequestID == 0 {
		t.Error("a malformed trace context counts, or the id beside it does not")
	}
}
