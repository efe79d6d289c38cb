//go:build amd64 || arm64

package workload

import (
	"fmt"
	"maps"
	"slices"
)

// scenarios are known to confuse observers that put a socket's addresses together from several calls. Each opens connections in
// one such way, makes HTTP/1.1 requests over most of them, and writes down the flows. The comment of each function says what it
// does, which steps it writes down, and at which gates it waits.
var scenarios = map[string]func(n *notes, args []string){
	"null-accept":           nullAccept,
	"no-getsockname":        noGetsockname,
	"getsockname-elsewhere": getsocknameElsewhere,
	"accept-blocked":        acceptBlocked,

	"connect-so-error":    connectSOError,
	"connect-first-write": connectFirstWrite,
	"connect-again":       connectAgain,
	"refused-reused":      refusedReused,
	"udp-probe":           udpProbe,

	"fork-serves":     forkServes,
	"fork-accepts":    forkAccepts,
	"passed-by-pair":  passedByPair,
	"passed-by-name":  passedByName,
	"take":            takeAndServe,
	"duplicates":      duplicates,
	"dup2-over-live":  dup2OverLive,
	"close-range":     closeRange,
	"exec":            execKeeps,
	"serve-kept":      serveKept,
	"cycles":          cycles,
	"delayed-address": delayedAddress,

	"transfers":  transfers,
	"sendfile":   sendsFile,
	"peek":       peeks,
	"half-close": halfClose,
	"families":   families,

	"unix-path":     unixPath,
	"unix-abstract": unixAbstract,
	"unix-pair":     unixPair,
	"udp-connected": udpConnected,
	"udp-messages":  udpMessages,

	"outgoing": outgoing,
	"incoming": incoming,
}

// scenario runs the scenario that its first argument names, with the other arguments.
func scenario(n *notes, args []string) {
	if len(args) == 0 || scenarios[args[0]] == nil {
		check(fmt.Errorf("no scenario %q, but %q", args, slices.Sorted(maps.Keys(scenarios))))
	}
	scenarios[args[0]](n, args[1:])
}

// Transport is the transport of a flow.
type Transport string

// The transports.
const (
	TCP  Transport = "tcp"
	UDP  Transport = "udp"
	Unix Transport = "unix"
)

// Flow is one end of a conversation over any transport, as the process that had it knows it. A UDP flow is between a socket and
// one remote address.
type Flow struct {
	End
	Transport Transport `json:"transport"`
	// LocalName and RemoteName are the names of Unix sockets: a path, @ and an abstract name, or empty if the end has none. There
	// are no addresses then.
	LocalName  string `json:"local_name,omitempty"`
	RemoteName string `json:"remote_name,omitempty"`
	// LocalUnknown and RemoteUnknown are set if no call of the process shows the address, neither as an argument nor as a result.
	LocalUnknown  bool `json:"local_unknown,omitempty"`
	RemoteUnknown bool `json:"remote_unknown,omitempty"`
	// ServedBy is the process that used the socket, if it is another than PID, which opened or accepted it; else 0.
	ServedBy int `json:"served_by,omitempty"`
	// Requests are the paths of the HTTP/1.1 requests over it, in order.
	Requests []string `json:"requests,omitempty"`
}

// flows writes down the ends of conversations.
func (n *notes) flows(parties ...*party) {
	for _, p := range parties {
		n.write(line{Flow: &p.flow})
	}
}

// takeFlows waits for another process of this workload, and adds the flows that it wrote down.
func (n *notes) takeFlows(r *Run) {
	n.wait(r)
	for _, f := range r.Flows() {
		n.write(line{Flow: &f})
	}
}
