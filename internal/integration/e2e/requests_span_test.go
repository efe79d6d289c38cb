//go:build e2e && linux

package e2e

import (
	"fmt"
	"net/netip"
	"net/url"
	"reflect"
	"strings"

	"go.opentelemetry.io/collector/pdata/ptrace"
)

// requestFact is the common part of an account and a span of a request at one end.
type requestFact struct {
	pid          int
	service      string // empty in an account: not compared
	kind         ptrace.SpanKind
	name         string
	method       string // HTTP only, as are the next five
	path, query  string
	secure       bool // by its scheme
	status       int  // 0: there was no answer
	version      string
	rpcMethod    string // RPC only
	rpcStatus    string
	local, peer  string // address and port; empty in an account: not compared
	failure      string // error.type, and whether the span's status is Error
	trace        string // empty in an account: not compared
	parent       string
	orphan       bool   // the parent is a span of the connection's client that was not emitted
	capture      string // empty in an account: complete or joined_midstream
	contradicted string // facts about which a span contradicts itself
}

// String leaves out empty facts.
func (f requestFact) String() string {
	var b strings.Builder
	v := reflect.ValueOf(f)
	for i := range v.NumField() {
		if field := v.Field(i); !field.IsZero() {
			fmt.Fprintf(&b, " %s=%v", v.Type().Field(i).Name, field)
		}
	}
	return b.String()[1:]
}

// requestSpan is a span with the facts of requests.
type requestSpan struct {
	span
	parent string
	orphan bool   // see requestFact
	mode   string // in which the receiver observed it, if that matters
}

func parseRequestSpans(line []byte) ([]requestSpan, error) {
	spans, err := parseTraces(line)
	if err != nil {
		return nil, err
	}
	all := make([]requestSpan, 0, len(spans))
	traces, err := (&ptrace.JSONUnmarshaler{}).UnmarshalTraces(line)
	if err != nil {
		return nil, err
	}
	for _, resource := range traces.ResourceSpans().All() {
		for _, scope := range resource.ScopeSpans().All() {
			for _, s := range scope.Spans().All() {
				all = append(all, requestSpan{span: spans[len(all)], parent: s.ParentSpanID().String()})
			}
		}
	}
	return all, nil
}

// request reports whether the span is one of a request, not of a connection.
func (s *requestSpan) request() bool {
	return s.text("http.request.method") != "" || s.text("rpc.system.name") != ""
}

// fact is the fact of the span.
func (s *requestSpan) fact() requestFact {
	service, _ := s.process["service.name"].(string)
	f := requestFact{
		pid: s.pid(), service: service, kind: s.kind, name: s.name, version: s.text("network.protocol.version"),
		failure: s.text("error.type"), trace: s.traceID, parent: s.parent, orphan: s.orphan, capture: s.text("socketflow.capture"),
	}
	var odd []string
	if s.mode != "syscall" || s.kind != ptrace.SpanKindClient || s.number("network.local.port") >= 0 {
		f.local, odd = s.end("network.local", odd) // syscall mode may not know the local port of a client: docs/modes.md
	}
	f.peer, odd = s.end("network.peer", odd)
	if failed := s.status == ptrace.StatusCodeError; failed != (f.failure != "") {
		odd = append(odd, fmt.Sprintf("status %v and error.type %q", s.status, f.failure))
	}
	if s.text("rpc.system.name") != "" {
		f.rpcMethod, f.rpcStatus = s.text("rpc.method"), s.text("rpc.response.status_code")
		if system := s.text("rpc.system.name"); system != "grpc" {
			odd = append(odd, "rpc.system.name "+system)
		}
		// A peer can choose freely the name of a method that the server does not have: semantic conventions, rpc.method.
		if f.rpcMethod == "_OTHER" && f.rpcStatus == "UNIMPLEMENTED" && s.kind == ptrace.SpanKindServer {
			f.rpcMethod = s.text("rpc.method_original")
			if f.name == "grpc" {
				f.name = f.rpcMethod
			}
		}
	} else {
		f.method, f.status = s.text("http.request.method"), max(0, s.number("http.response.status_code"))
		odd = s.target(&f, odd)
		if original := s.text("http.request.method_original"); original != "" {
			odd = append(odd, fmt.Sprintf("http.request.method_original %.40q", original))
		}
	}
	if s.ended.Before(s.began) {
		odd = append(odd, "it ends before it begins")
	}
	f.contradicted = strings.Join(odd, "; ")
	return f
}

func (s *requestSpan) end(which string, odd []string) (string, []string) {
	address, err := netip.ParseAddr(s.text(which + ".address"))
	if err != nil {
		odd = append(odd, which+": "+err.Error())
	}
	return netip.AddrPortFrom(address, uint16(s.number(which+".port"))).String(), odd
}

// target is the target of an HTTP request: a client has the whole URL, a server its parts.
func (s *requestSpan) target(f *requestFact, odd []string) []string {
	if s.kind == ptrace.SpanKindServer {
		f.path, f.query = s.text("url.path"), s.text("url.query")
		f.secure, odd = isSecure(s.text("url.scheme"), odd)
		return odd
	}
	full, err := url.Parse(s.text("url.full"))
	if err != nil || full.Host == "" {
		odd = append(odd, "url.full "+s.text("url.full"))
	} else {
		f.path, f.query = full.EscapedPath(), full.RawQuery
		f.secure, odd = isSecure(full.Scheme, odd)
		if host := s.text("server.address"); host != full.Hostname() {
			odd = append(odd, fmt.Sprintf("server.address %q of %s", host, full.Host))
		}
		if port := s.number("server.port"); full.Port() != "" && fmt.Sprint(port) != full.Port() {
			odd = append(odd, fmt.Sprintf("server.port %d of %s", port, full.Host))
		}
	}
	return odd
}

func isSecure(scheme string, odd []string) (bool, []string) {
	if scheme != "http" && scheme != "https" {
		odd = append(odd, "scheme "+scheme)
	}
	return scheme == "https", odd
}

// differences lists the differences between an emitted fact and the truth.
func (f requestFact) differences(emitted requestFact) []string {
	var all []string
	if f.service == "" {
		f.service = emitted.service
	}
	if f.version == "" {
		f.version = emitted.version
	}
	if f.local == "" {
		f.local = emitted.local
	}
	if emitted.local == "" {
		f.local = ""
	}
	if f.peer == "" {
		f.peer = emitted.peer
	}
	if f.failure == noAnswer && emitted.failure != "" {
		f.failure = emitted.failure
	}
	if f.capture == "" && emitted.capture == "joined_midstream" {
		f.capture = emitted.capture
	}
	if f.capture == "" {
		f.capture = "complete"
	}
	if f.trace == "" {
		f.trace = emitted.trace
	}
	if f.orphan = emitted.orphan; f.orphan && f.trace == emitted.trace { // the client's span was lost
		f.parent = emitted.parent
	}
	is, of := reflect.ValueOf(emitted), reflect.ValueOf(f)
	for i := range is.NumField() {
		if a, b := fmt.Sprint(is.Field(i)), fmt.Sprint(of.Field(i)); a != b {
			all = append(all, fmt.Sprintf("%s is emitted as %q, true is %q", is.Type().Field(i).Name, a, b))
		}
	}
	return all
}
