package protocoltest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/socketflow/socketflow/internal/protocol"
)

// Step is what one direction transfers: bytes, or a gap.
type Step struct {
	Direction protocol.Direction
	Bytes     string
	Missing   uint64
	Why       protocol.Loss
	Silence   uint64 // before it, in ns
}

// FromClient is what the client sends.
func FromClient(messages ...string) Step { return Step{Bytes: strings.Join(messages, "")} }

// FromServer is what the server sends.
func FromServer(messages ...string) Step {
	return Step{Direction: protocol.FromServer, Bytes: strings.Join(messages, "")}
}

// Missing is a gap.
func Missing(d protocol.Direction, n uint64, why protocol.Loss) Step {
	return Step{Direction: d, Missing: n, Why: why}
}

// Play transfers the steps, in pieces of so many bytes; 0: each in one call.
func (p *Player) Play(steps []Step, piece int) {
	for _, x := range steps {
		p.Time += x.Silence
		switch {
		case x.Missing > 0:
			p.Gap(x.Direction, x.Missing, x.Why)
		case piece > 0:
			p.Pieces(x.Direction, x.Bytes, piece)
		default:
			p.Data(x.Direction, x.Bytes)
		}
	}
}

// Brief is a line for an exchange: its name, the attributes that are not left out, without "db.", and what is not usual.
func Brief(x *Exchange, leaveOut ...string) string {
	var more []string
	for k, v := range x.Attributes {
		if !slices.Contains(leaveOut, k) {
			more = append(more, fmt.Sprintf("%s=%v", strings.TrimPrefix(strings.TrimPrefix(k, "db."), "response."), v))
		}
	}
	slices.Sort(more)
	return x.Line(strings.TrimSpace(x.Name + " " + strings.Join(more, " ")))
}

// Line is a line for an exchange: how it begins, what is said of it in order, and what is not usual of any exchange.
func (x *Exchange) Line(begins string, more ...string) string {
	if x.Error != "" && x.Error != x.Attributes["db.response.status_code"] {
		more = append(more, "error="+x.Error)
	}
	if x.Errno != 0 {
		more = append(more, fmt.Sprintf("errno=%d", x.Errno))
	}
	switch {
	case x.Kind == protocol.Message:
		more = append(more, "pushed")
	case x.ResponseStart.Time == 0:
		more = append(more, "unanswered")
	}
	if x.Capture != protocol.CaptureComplete {
		more = append(more, fmt.Sprintf("capture=%d", x.Capture))
	}
	slices.Sort(more)
	return strings.TrimSpace(begins + " " + strings.Join(more, " "))
}

// Lines are those of all exchanges.
func (r *Recorder) Lines(line func(*Exchange) string) string {
	var lines []string
	for i := range r.Exchanges {
		lines = append(lines, line(&r.Exchanges[i]))
	}
	return strings.Join(lines, "\n")
}

// Check compares the exchanges and the errors of a conversation that is over with what they have to be, and calls Ended.
func (r *Recorder) Check(t testing.TB, how string, p protocol.Parser, line func(*Exchange) string, want []string, errors []protocol.ParseError, secrets ...string) {
	t.Helper()
	got := r.Lines(line)
	if got != strings.Join(want, "\n") {
		t.Errorf("%s:\n%s\nwant:\n%s", how, got, strings.Join(want, "\n"))
	}
	for _, secret := range secrets {
		if strings.Contains(got, secret) {
			t.Errorf("%s: secrets in\n%s", how, got)
		}
	}
	var counted [protocol.ParseErrors]int
	for _, e := range errors {
		counted[e]++
	}
	if r.Errors != counted {
		t.Errorf("%s: errors %v, want %v", how, r.Errors, counted)
	}
	r.Ended(t, p, secrets...)
}

// Ended checks what is left at the end of a conversation, and that nothing secret is in the exchanges.
func (r *Recorder) Ended(t testing.TB, p protocol.Parser, secrets ...string) {
	t.Helper()
	if len(r.Open) > 0 {
		t.Errorf("%d exchanges have not ended", len(r.Open))
	}
	if n := p.Held(); n > 0 {
		t.Errorf("%d bytes are held after the end", n)
	}
	for _, x := range r.Exchanges {
		for _, secret := range secrets {
			if text := fmt.Sprintf("%s %s %v", x.Name, x.Description, x.Attributes); strings.Contains(text, secret) {
				t.Errorf("it is emitted: %s", text)
			}
		}
	}
}
