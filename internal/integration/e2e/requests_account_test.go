//go:build e2e && linux

package e2e

import (
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"go.opentelemetry.io/collector/pdata/ptrace"
)

// account is an end's own report of a request that it made or answered. The programs in testdata write them, one JSON line each.
type account struct {
	PID     int
	Role    string // client or server
	Method  string
	Target  string     // unique, unless it is an RPC
	Status  int        // 0: there was no answer
	RPC     *int       `json:"rpc_status"` // only of an RPC
	Version string     // empty: not known
	Local   accountEnd // without an address: the program cannot know it
	Peer    accountEnd
	Error   string // why there was no answer, as error.type; noAnswer: any
	// Traceparent is the sent one; the test sets it for programs that do not report it.
	Traceparent string

	secure  bool   // over TLS
	service string // the service name that the program was given; empty: it cannot be observed
	joined  bool   // the connection may be older than the collector
}

// noAnswer is the error of an end that does not know how the other end saw the failure.
const noAnswer = "no answer"

type accountEnd struct {
	Address string
	Port    uint16
}

// address is the form of an address in telemetry: unmapped. It is empty if the program cannot know it.
func (e accountEnd) address() string {
	address, err := netip.ParseAddr(e.Address)
	if err != nil {
		return ""
	}
	return address.Unmap().String()
}

// String is empty if the program cannot know its address.
func (e accountEnd) String() string {
	if e.address() == "" {
		return ""
	}
	return net.JoinHostPort(e.address(), strconv.Itoa(int(e.Port)))
}

func parseAccount(line []byte) (a account, err error) {
	return a, json.Unmarshal(line, &a)
}

// parseCurl reads curl's output for --write-out '%{json}'.
func parseCurl(line []byte) (account, error) {
	var c struct {
		Method     string
		URL        string `json:"url_effective"`
		Status     int    `json:"http_code"`
		Version    string `json:"http_version"`
		LocalIP    string `json:"local_ip"`
		LocalPort  uint16 `json:"local_port"`
		RemoteIP   string `json:"remote_ip"`
		RemotePort uint16 `json:"remote_port"`
	}
	err := json.Unmarshal(line, &c)
	_, target, _ := strings.Cut(c.URL, "://")
	_, target, _ = strings.Cut(target, "/")
	return account{
		Role: "client", Method: c.Method, Target: "/" + target, Status: c.Status, Version: c.Version,
		Local: accountEnd{c.LocalIP, c.LocalPort}, Peer: accountEnd{c.RemoteIP, c.RemotePort},
	}, err
}

// counterpart is the account of the other end of the request.
func (a account) counterpart(pid int, service string) account {
	a.Role = map[string]string{"client": "server", "server": "client"}[a.Role]
	a.Local, a.Peer = a.Peer, a.Local
	a.PID, a.service = pid, service
	return a
}

// exchange is the part of an account on which both ends have to agree.
type exchange struct {
	method, target string
	status, rpc    int
	client, server string
}

func (a *account) exchange() exchange {
	x := exchange{method: a.Method, target: a.Target, status: a.Status, client: a.Local.String(), server: a.Peer.String()}
	if a.Role == "server" {
		x.client, x.server = x.server, x.client
	}
	if a.RPC != nil {
		x.rpc = *a.RPC
	}
	return x
}

// agree completes accounts by those of the other ends, and returns an error unless each request has two accounts that agree.
func agree(accounts []account) error {
	byTarget := map[string]*account{}
	for i := range accounts {
		if a := &accounts[i]; a.Role == "server" && a.RPC == nil {
			byTarget[a.Target] = a
		}
	}
	servers := map[exchange][]*account{}
	clients := 0
	for i := range accounts {
		a := &accounts[i]
		if a.Role == "server" {
			servers[a.exchange()] = append(servers[a.exchange()], a)
			continue
		}
		clients++
		if server := byTarget[a.Target]; a.Local.Address == "" && server != nil {
			a.Local, a.Peer = server.Peer, server.Local
		}
	}
	for i := range accounts {
		a := &accounts[i]
		if a.Role == "server" {
			continue
		}
		x := a.exchange()
		others := servers[x]
		if len(others) == 0 {
			return fmt.Errorf("no server has answered %+v", x)
		}
		other := others[0]
		servers[x] = others[1:]
		if a.Version != other.Version {
			a.Version, other.Version = "", "" // it changed on the way
		}
		a.Traceparent = max(a.Traceparent, other.Traceparent)
		other.Traceparent = a.Traceparent
	}
	for x, others := range servers {
		if len(others) > 0 {
			return fmt.Errorf("no client has sent %+v", x)
		}
	}
	if clients == 0 {
		return fmt.Errorf("no requests at all")
	}
	return nil
}

// rpcStatuses are the names of gRPC's statuses, as rpc.response.status_code has them.
var rpcStatuses = [...]string{
	"OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED",
	"RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE",
	"DATA_LOSS", "UNAUTHENTICATED",
}

// serverFaults are the statuses that are errors on the server's side too, by the semantic conventions of gRPC.
var serverFaults = map[string]bool{
	"UNKNOWN": true, "DEADLINE_EXCEEDED": true, "UNIMPLEMENTED": true, "INTERNAL": true, "UNAVAILABLE": true, "DATA_LOSS": true,
}

// expected is the expected fact of the request at this end.
func (a *account) expected() requestFact {
	f := requestFact{
		pid: a.PID, service: a.service, kind: ptrace.SpanKindClient, version: a.Version,
		local: a.Local.String(), peer: a.Peer.String(), capture: "complete",
	}
	if a.Role == "server" {
		f.kind = ptrace.SpanKindServer
	}
	if a.joined {
		f.capture = ""
	}
	if parts := strings.Split(a.Traceparent, "-"); len(parts) == 4 {
		f.trace, f.parent = parts[1], parts[2]
	}
	if a.RPC != nil {
		f.method, f.status = "", 0
		f.rpcMethod = strings.TrimPrefix(a.Target, "/")
		f.rpcStatus = rpcStatuses[*a.RPC]
		f.name = f.rpcMethod
		if *a.RPC != 0 && (a.Role == "client" || serverFaults[f.rpcStatus]) {
			f.failure = f.rpcStatus
		}
		return f
	}
	f.secure = a.secure
	f.name, f.method, f.status = a.Method, a.Method, a.Status
	f.path, f.query, _ = strings.Cut(a.Target, "?")
	switch {
	case a.Status == 0:
		f.failure = a.Error
	case a.Status >= 500, a.Status >= 400 && a.Role == "client":
		f.failure = strconv.Itoa(a.Status)
	}
	return f
}
