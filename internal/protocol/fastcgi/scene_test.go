package fastcgi

import (
	"encoding/binary"
	"fmt"
	"sort"
	"strings"
	"testing"

	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/protocoltest"
)

var limits = protocol.Limits{HeadBytes: 4096, Outstanding: 8}

// record is one, padded to a multiple of eight bytes as libfcgi and nginx do.
func rec(kind byte, id int, body string) string {
	padding := -len(body) & 7
	header := string([]byte{version, kind, byte(id >> 8), byte(id), byte(len(body) >> 8), byte(len(body)), byte(padding), 0})
	return header + body + strings.Repeat("\x00", padding)
}

func beginOf(id int, r role, keep byte) string {
	return rec(typeBegin, id, string([]byte{0, byte(r), keep, 0, 0, 0, 0, 0}))
}

// pairs encodes parameters: "NAME=value". Long ones have lengths of four bytes.
func pairs(all ...string) string {
	var out []byte
	for _, pair := range all {
		name, value, _ := strings.Cut(pair, "=")
		for _, n := range [...]int{len(name), len(value)} {
			if n < 128 {
				out = append(out, byte(n))
			} else {
				out = binary.BigEndian.AppendUint32(out, uint32(n)|1<<31)
			}
		}
		out = append(append(out, name...), value...)
	}
	return string(out)
}

// asks is a whole request without a body.
func asks(id int, parameters ...string) string {
	return beginOf(id, responder, 1) + rec(typeParams, id, pairs(parameters...)) + rec(typeParams, id, "") + rec(typeStdin, id, "")
}

func get(id int, path string) string {
	return asks(id, "REQUEST_METHOD=GET", "REQUEST_URI="+path)
}

func endOf(id, app int, status byte) string {
	return rec(typeEnd, id, string([]byte{byte(app >> 24), byte(app >> 16), byte(app >> 8), byte(app), status, 0, 0, 0}))
}

// answers is a whole response.
func answers(id int, text string) string {
	return rec(typeStdout, id, text) + rec(typeStdout, id, "") + endOf(id, 0, 0)
}

const okText = "Content-Type: text/plain\r\n\r\nhello"

type step = protocoltest.Step

var c, s = protocoltest.FromClient, protocoltest.FromServer

func lost(server bool, bytes string) step {
	d := protocol.FromClient
	if server {
		d = protocol.FromServer
	}
	return protocoltest.Missing(d, uint64(len(bytes)), protocol.Lost)
}

func play(steps []step, session protocol.Session, piece int, change func(any)) (*protocoltest.Player, *protocoltest.Recorder) {
	parser, r := protocoltest.New(Protocol(), session, limits, change)
	p := &protocoltest.Player{Parser: parser}
	p.Play(steps, piece)
	return p, r
}

// brief is a line for an exchange: method, path and status, and what is not usual of it.
func brief(x *protocoltest.Exchange) string {
	path, _ := x.Attributes["url.path"].(string)
	if query, ok := x.Attributes["url.query"].(string); ok {
		path += "?" + query
	}
	line := fmt.Sprintf("%s %s %v", x.Name, path, x.Attributes["http.response.status_code"])
	var more []string
	for k, v := range x.Attributes {
		switch k {
		case "url.path", "url.query", "http.response.status_code":
		case "http.request.method":
			if v != x.Name {
				more = append(more, fmt.Sprintf("method=%v", v))
			}
		case "socketflow.fastcgi.role":
			if v != "responder" {
				more = append(more, fmt.Sprintf("role=%v", v))
			}
		case "url.scheme":
			if v != "http" {
				more = append(more, fmt.Sprintf("scheme=%v", v))
			}
		default:
			more = append(more, fmt.Sprintf("%s=%v", strings.TrimPrefix(k, "socketflow.fastcgi."), v))
		}
	}
	add := func(name string, value any, is bool) {
		if is {
			more = append(more, fmt.Sprintf("%s=%v", name, value))
		}
	}
	add("error", x.Error, x.Error != "" && x.Error != fmt.Sprint(x.Attributes["http.response.status_code"]))
	add("errno", x.Errno, x.Errno != 0)
	add("server", fmt.Sprintf("%s:%d", x.Server, x.ServerPort), x.Server != "")
	add("client", x.Client, x.Client.IsValid())
	add("parent", fmt.Sprintf("%x", x.Parent.SpanID), x.Parent.Valid())
	add("sent", x.RequestBody.Bytes, x.RequestBody.Known && x.RequestBody.Bytes > 0)
	add("capture", x.Capture, x.Capture != protocol.CaptureComplete)
	add("protocol", x.Protocol, x.Protocol != "fastcgi")
	sort.Strings(more)
	return strings.TrimSpace(line + " " + strings.Join(more, " "))
}

func briefs(r *protocoltest.Recorder) string { return r.Lines(brief) }

const secret = "correct-horse-battery"

// check plays the steps whole, byte by byte, and in odd pieces. Each time the exchanges have to be these.
func check(t *testing.T, steps []step, session protocol.Session, want []string, errors ...protocol.ParseError) {
	t.Helper()
	for _, piece := range []int{0, 1, 3, 8, 13} {
		p, r := play(steps, session, piece, nil)
		p.Close(0)
		compare(t, fmt.Sprintf("in pieces of %d", piece), p, r, want, errors)
	}
}

func compare(t *testing.T, how string, p *protocoltest.Player, r *protocoltest.Recorder, want []string, errors []protocol.ParseError) {
	t.Helper()
	r.Check(t, how, p.Parser, brief, want, errors, secret)
}
