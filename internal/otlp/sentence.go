package otlp

import (
	"net/netip"
	"strconv"
	"time"

	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/process"
	"github.com/socketflow/socketflow/internal/socket"
)

// The body of a log record is one sentence that can be understood without the attributes. It is for people; its wording is
// not an interface.

// wording has the words of a sentence that depend on the role.
type wording struct {
	failed      string
	arrow       string // between two addresses
	remoteFirst bool   // the connecting end is left of the arrow
	own, peer   string // before the names of the ends; own "": this end's name is omitted
}

var wordings = [...]wording{
	event.RoleUnknown: {failed: " failed to connect to ", arrow: " <-> ", own: " on ", peer: " with "},
	event.RoleClient:  {failed: " failed to connect to ", arrow: " -> ", peer: " to "},
	event.RoleServer: {
		failed: " failed to accept a connection from ", arrow: " -> ", remoteFirst: true, own: " on ", peer: " from ",
	},
}

// subject names a process in a sentence: as service.name does, if anything but the pid is known.
func subject(p *process.Info) string {
	if p.PID == 0 {
		return "unknown process"
	}
	name := p.ServiceName
	if p.ServiceNameSource == process.SourceUnknown {
		name = "process"
	}
	return name + " (pid " + strconv.FormatUint(uint64(p.PID), 10) + ")"
}

// appendOpened: "curl (pid 4242) opened a TCP connection 127.0.0.1:40000 -> 127.0.0.1:80".
func appendOpened(text []byte, r *report) []byte {
	w := row(wordings[:], r.connection.Role)
	text = append(text, r.subject...)
	if r.connection.Capture == socket.CaptureJoinedMidstream {
		text = append(append(text, " already had a "...), r.transportDef.name...)
	} else {
		text = append(text, entry(r.transportDef.opened[:], r.connection.Role)...)
	}
	return r.transportDef.appendEnds(text, r, w)
}

// appendClosed: "curl (pid 4242): TCP connection 127.0.0.1:40000 -> 127.0.0.1:80 closed after 1.53s: 1.2 kB sent,
// 4.5 MB received, FIN by peer", or of one that is unmeasured "closed, end not seen".
func appendClosed(text []byte, r *report) []byte {
	w := row(wordings[:], r.connection.Role)
	text = append(text, r.subject...)
	text = append(append(text, ": "...), r.transportDef.name...)
	text = r.transportDef.appendEnds(text, r, w)
	bySide := row(r.transportDef.endings[:], r.connection.End.Way)
	how := entry(bySide[:], r.connection.End.By)
	if r.unmeasured() {
		return append(append(text, " closed, "...), how...)
	}
	text = append(text, " closed after "...)
	if r.connection.Capture == socket.CaptureJoinedMidstream {
		text = append(text, "at least "...)
	}
	text = appendDuration(text, time.Duration(r.duration()))
	text = append(text, ": "...)
	text = appendBytes(text, r.connection.Stats.BytesSent)
	text = append(text, " sent, "...)
	text = appendBytes(text, r.connection.Stats.BytesReceived)
	text = append(text, " received, "...)
	text = append(text, how...)
	if r.connection.End.Way == socket.WayError {
		text = appendError(append(text, ": "...), r.err)
	}
	return text
}

// appendFailed: "curl (pid 4242) failed to connect to 10.0.0.1:443: ECONNREFUSED (connection refused)".
func appendFailed(text []byte, r *report) []byte {
	w := row(wordings[:], r.connection.Role)
	text = append(text, r.subject...)
	text = append(text, w.failed...)
	text = appendEnd(text, r.connection.Remote, r.remote)
	text = append(text, ": "...)
	return appendError(text, r.err)
}

func appendError(text []byte, e errno) []byte {
	text = append(text, e.name...)
	text = append(text, " ("...)
	text = append(text, e.text...)
	return append(text, ')')
}

// appendEnd writes address:port, or a name. address is the text of end's address, "" if it is not known.
func appendEnd(text []byte, end netip.AddrPort, address string) []byte {
	switch {
	case address == "":
		return append(text, "(unknown)"...)
	case end.Addr().Is6():
		text = append(append(append(text, '['), address...), ']')
	default:
		text = append(text, address...)
	}
	if end.Port() == 0 {
		return text
	}
	return strconv.AppendUint(append(text, ':'), uint64(end.Port()), 10)
}
