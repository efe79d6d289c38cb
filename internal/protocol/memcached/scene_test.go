package memcached

import (
	"fmt"
	"sort"
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

func c(bytes ...string) step { return step{bytes: strings.Join(bytes, "")} }
func s(bytes ...string) step { return step{server: true, bytes: strings.Join(bytes, "")} }

func missing(server bool, n uint64, why protocol.Loss) step {
	return step{server: server, missing: n, why: why}
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
	if x.Error != "" && x.Error != x.Attributes["db.response.status_code"] {
		more = append(more, "error="+x.Error)
	}
	if x.Errno != 0 {
		more = append(more, fmt.Sprintf("errno=%d", x.Errno))
	}
	if x.ResponseStart.Time == 0 {
		more = append(more, "unanswered")
	}
	if x.Capture != protocol.CaptureComplete {
		more = append(more, fmt.Sprintf("capture=%d", x.Capture))
	}
	sort.Strings(more)
	return strings.TrimSpace(line + " " + strings.Join(more, " "))
}

func briefs(r *protocoltest.Recorder) string {
	var lines []string
	for i := range r.Exchanges {
		lines = append(lines, brief(&r.Exchanges[i]))
	}
	return strings.Join(lines, "\n")
}

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
	got := briefs(r)
	if got != strings.Join(want, "\n") {
		t.Errorf("%s:\n%s\nwant:\n%s", how, got, strings.Join(want, "\n"))
	}
	if strings.Contains(got, secret) {
		t.Errorf("%s: secrets in\n%s", how, got)
	}
	var counted [protocol.ParseErrors]int
	for _, e := range errors {
		counted[e]++
	}
	if r.Errors != counted {
		t.Errorf("%s: errors %v, want %v", how, r.Errors, counted)
	}
	if len(r.Open) > 0 {
		t.Errorf("%s: %d exchanges have not ended", how, len(r.Open))
	}
	if n := p.Parser.Held(); n != 0 {
		t.Errorf("%s: %d bytes are held after the end", how, n)
	}
}
