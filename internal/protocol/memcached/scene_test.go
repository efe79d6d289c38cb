package memcached

import (
	"fmt"
	"strings"
	"testing"

	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/protocoltest"
)

var limits = protocol.Limits{HeadBytes: 4096, Outstanding: 64}

type step = protocoltest.Step

var c, s = protocoltest.FromClient, protocoltest.FromServer

func play(steps []step, session protocol.Session, piece int) (*protocoltest.Player, *protocoltest.Recorder) {
	parser, r := protocoltest.New(Protocol(), session, limits, nil)
	p := &protocoltest.Player{Parser: parser}
	p.Play(steps, piece)
	return p, r
}

// brief is a line for an exchange: its text, and what is not usual of it.
func brief(x *protocoltest.Exchange) string {
	line, _ := x.Attributes["db.query.text"].(string)
	if !strings.HasPrefix(line, x.Name) || x.Attributes["db.operation.name"] != x.Name {
		line = x.Name + "|" + line
	}
	var more []string
	for k, v := range x.Attributes {
		switch k {
		case "db.query.text", "db.operation.name", "db.system.name":
		case "db.response.returned_rows":
			more = append(more, fmt.Sprintf("found=%v", v))
		default:
			more = append(more, fmt.Sprintf("%s=%v", strings.TrimPrefix(k, "db."), v))
		}
	}
	return x.Line(line, more...)
}

func briefs(r *protocoltest.Recorder) string { return r.Lines(brief) }

const secret = "a-secret-value"

// check plays the steps whole, byte by byte, and in odd pieces. Each time the exchanges have to be these.
func check(t *testing.T, steps []step, session protocol.Session, want []string, errors ...protocol.ParseError) {
	t.Helper()
	for _, piece := range []int{0, 1, 3, 7} {
		p, r := play(steps, session, piece)
		p.Close(0)
		compare(t, fmt.Sprintf("in pieces of %d", piece), p, r, want, errors)
	}
}

func compare(t *testing.T, how string, p *protocoltest.Player, r *protocoltest.Recorder, want []string, errors []protocol.ParseError) {
	t.Helper()
	r.Check(t, how, p.Parser, brief, want, errors, secret)
}
