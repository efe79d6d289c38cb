package redis

import (
	"fmt"
	"sort"
	"strconv"
	"strings"
	"testing"

	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/protocoltest"
)

var limits = protocol.Limits{HeadBytes: 4096, Outstanding: 64}

// step is what one direction transfers: bytes, or a gap.
type step struct {
	server  bool
	bytes   string
	missing uint64
	why     protocol.Loss
	silence uint64 // before it, in ns
}

func c(bytes string) step { return step{bytes: bytes} }
func s(bytes string) step { return step{server: true, bytes: bytes} }

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
	for _, x := range steps {
		d := protocol.FromClient
		if x.server {
			d = protocol.FromServer
		}
		p.Time += x.silence
		switch {
		case x.missing > 0:
			p.Gap(d, x.missing, x.why)
		case piece > 0:
			p.Pieces(d, x.bytes, piece)
		default:
			p.Data(d, x.bytes)
		}
	}
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
	if x.Error != "" && x.Error != x.Attributes["db.response.status_code"] {
		more = append(more, "error="+x.Error)
	}
	if x.Errno != 0 {
		more = append(more, fmt.Sprintf("errno=%d", x.Errno))
	}
	if x.Kind == protocol.Message {
		more = append(more, "pushed")
	} else if x.ResponseStart.Time == 0 {
		more = append(more, "unanswered")
	}
	if x.Capture != protocol.CaptureComplete {
		more = append(more, fmt.Sprintf("capture=%d", x.Capture))
	}
	sort.Strings(more)
	return strings.TrimSpace(text + " " + strings.Join(more, " "))
}

func briefs(r *protocoltest.Recorder) string {
	var lines []string
	for i := range r.Exchanges {
		lines = append(lines, brief(&r.Exchanges[i]))
	}
	return strings.Join(lines, "\n")
}

// check plays the steps whole, byte by byte, and in odd pieces. Each time the exchanges have to be these.
func check(t *testing.T, steps []step, session protocol.Session, want []string, errors ...protocol.ParseError) {
	t.Helper()
	for _, piece := range []int{0, 1, 3, 7} {
		p, r := play(steps, session, piece)
		p.Close(0)
		if got := briefs(r); got != strings.Join(want, "\n") {
			t.Errorf("in pieces of %d:\n%s\nwant:\n%s", piece, got, strings.Join(want, "\n"))
		}
		var counted [protocol.ParseErrors]int
		for _, e := range errors {
			counted[e]++
		}
		if r.Errors != counted {
			t.Errorf("in pieces of %d: errors %v, want %v", piece, r.Errors, counted)
		}
		if len(r.Open) > 0 {
			t.Errorf("in pieces of %d: %d exchanges have not ended", piece, len(r.Open))
		}
		if n := p.Parser.Held(); n != 0 {
			t.Errorf("in pieces of %d: %d bytes are held after the end", piece, n)
		}
	}
}
