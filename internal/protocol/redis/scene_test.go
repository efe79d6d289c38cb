package redis

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/protocoltest"
)

var limits = protocol.Limits{HeadBytes: 4096, Outstanding: 64}

type step = protocoltest.Step

var c, s = protocoltest.FromClient, protocoltest.FromServer

// cmd is a command as an array.
func cmd(words ...string) string {
	b := fmt.Sprintf("*%d\r\n", len(words))
	for _, w := range words {
		b += "$" + strconv.Itoa(len(w)) + "\r\n" + w + "\r\n"
	}
	return b
}

func play(steps []step, session protocol.Session, piece int) (*protocoltest.Player, *protocoltest.Recorder) {
	parser, r := protocoltest.New(Protocol(), session, limits, nil)
	p := &protocoltest.Player{Parser: parser}
	p.Play(steps, piece)
	return p, r
}

// brief is a line for an exchange: what is not usual of it, after its text.
func brief(x *protocoltest.Exchange) string {
	text, _ := x.Attributes["db.query.text"].(string)
	if op := x.Attributes["db.operation.name"].(string); !strings.HasPrefix(text, op) {
		text = op + "|" + text
	}
	var more []string
	for k, v := range x.Attributes {
		switch k {
		case "db.query.text", "db.operation.name", "db.system.name":
		case "db.namespace":
			if v != "0" {
				more = append(more, "db="+v.(string))
			}
		default:
			more = append(more, fmt.Sprintf("%s=%v", strings.TrimPrefix(k, "db."), v))
		}
	}
	if _, ok := x.Attributes["db.namespace"]; !ok && x.Kind == protocol.Call {
		more = append(more, "db=unknown")
	}
	return x.Line(text, more...)
}

func briefs(r *protocoltest.Recorder) string { return r.Lines(brief) }

// check plays the steps whole, byte by byte, and in odd pieces. Each time the exchanges have to be these.
func check(t *testing.T, steps []step, session protocol.Session, want []string, errors ...protocol.ParseError) {
	t.Helper()
	for _, piece := range []int{0, 1, 3, 7} {
		p, r := play(steps, session, piece)
		p.Close(0)
		r.Check(t, fmt.Sprintf("in pieces of %d", piece), p.Parser, brief, want, errors)
	}
}
