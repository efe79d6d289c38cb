package otlp

import (
	"strconv"

	"github.com/socketflow/socketflow/internal/event"
	"github.com/socketflow/socketflow/internal/socket"
)

// transportDef describes how the connections of a transport are emitted.
type transportDef struct {
	conditions    conditions       // that hold for every connection
	span, attempt string           // span names
	name          string           // of a connection, in a sentence
	opened        [roles]string    // what the process did, by role
	endings       *endingsByWay    // how it ended
	appendEnds    appendConnection // writes the two ends
}

type (
	endingsByWay     = [ways][sides]string
	appendConnection = func([]byte, *report, *wording) []byte
)

const roles = event.RoleServer + 1

// transportDefs has TCP in the first row, which also stands for unknown transports (see row).
var transportDefs = [...]transportDef{
	event.TCP: {
		conditions: isTCP | overIP, span: spanTCPConnection, attempt: spanTCPConnect,
		name:    "TCP connection",
		opened:  [roles]string{" has a TCP connection", " opened a TCP connection", " accepted a TCP connection"},
		endings: &endingsOfTCP, appendEnds: appendAddresses,
	},
	event.UDP: {
		conditions: isUDP | overIP, span: spanUDPFlow, attempt: spanUDPConnect,
		name:    "UDP flow",
		opened:  [roles]string{" has a UDP flow", " opened a UDP flow", " received a UDP flow"},
		endings: &endingsOfOthers, appendEnds: appendAddresses,
	},
	event.UnixStream: {
		conditions: isUnix, span: spanUnixConnection, attempt: spanUnixConnect,
		name: "Unix stream connection",
		opened: [roles]string{
			" has a Unix stream connection", " opened a Unix stream connection", " accepted a Unix stream connection",
		},
		endings: &endingsOfOthers, appendEnds: appendNames,
	},
}

var endingsOfTCP = endingsByWay{
	socket.WayUnknown:  {"end not seen", "ended by this side", "ended by peer"},
	socket.WayFIN:      {"FIN", "FIN by this side", "FIN by peer"},
	socket.WayRST:      {"RST", "RST by this side", "RST by peer"},
	socket.WayTimeout:  {"timed out", "timed out", "timed out"},
	socket.WayError:    {"error", "error", "error"},
	socket.WayCanceled: {"canceled", "canceled", "canceled"},
	socket.WayIdle:     {"idle", "idle", "idle"},
}

// endingsOfOthers do not mention TCP segments.
var endingsOfOthers = func() endingsByWay {
	endings := endingsOfTCP
	endings[socket.WayFIN] = [sides]string{"ended", "ended by this side", "ended by peer"}
	endings[socket.WayRST] = [sides]string{"reset", "reset by this side", "reset by peer"}
	return endings
}()

// appendAddresses: " 127.0.0.1:40000 -> 127.0.0.1:80".
func appendAddresses(text []byte, r *report, w *wording) []byte {
	text = append(text, ' ')
	if w.remoteFirst {
		text = appendEnd(text, r.connection.Remote, r.remote)
		text = append(text, w.arrow...)
		return appendEnd(text, r.connection.Local, r.local)
	}
	text = appendEnd(text, r.connection.Local, r.local)
	text = append(text, w.arrow...)
	return appendEnd(text, r.connection.Remote, r.remote)
}

// appendNames: " to /run/docker.sock", " on /run/x.sock from pid 77", or " with pid 77" if neither end has a name.
func appendNames(text []byte, r *report, w *wording) []byte {
	peer := " with "
	if w.own != "" && r.local != "" {
		text = append(append(text, w.own...), r.local...)
		peer = w.peer
	}
	switch {
	case r.remote != "":
		text = append(append(text, w.peer...), r.remote...)
	case r.conditions&hasPeerPID != 0:
		text = append(append(text, peer...), "pid "...)
		text = strconv.AppendUint(text, uint64(r.connection.Unix.PeerPID), 10)
	}
	return text
}
