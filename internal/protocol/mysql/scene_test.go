package mysql

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/protocoltest"
	"github.com/socketflow/socketflow/internal/sqltext"
)

var limits = protocol.Limits{HeadBytes: 4096, Outstanding: 64}

type step = protocoltest.Step

var c, s = protocoltest.FromClient, protocoltest.FromServer

func little(n uint64, size int) string {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], n)
	return string(b[:size])
}

// pkt is a packet.
func pkt(sequence byte, body string) string {
	return little(uint64(len(body)), 3) + string([]byte{sequence}) + body
}

// pkts are packets with numbers from one on.
func pkts(sequence byte, bodies ...string) string {
	var all strings.Builder
	for _, b := range bodies {
		all.WriteString(pkt(sequence, b))
		sequence++
	}
	return all.String()
}

// cmd is a command.
func cmd(number byte, body string) string { return pkt(0, string([]byte{number})+body) }

func query(sql string) string { return cmd(0x03, sql) }

// length is a number of variable length, and text is that before bytes.
func length(n int) string {
	if n < 0xfb {
		return string([]byte{byte(n)})
	}
	return "\xfc" + little(uint64(n), 2)
}

func text(b string) string { return length(len(b)) + b }

func ok(status uint64) string           { return "\x00\x00\x00" + little(status, 2) + "\x00\x00" }
func eof(status uint64) string          { return "\xfe\x00\x00" + little(status, 2) }
func rowEnd(status uint64) string       { return "\xfe\x00\x00" + little(status, 2) + "\x00\x00" }
func fail(code uint64, s string) string { return "\xff" + little(code, 2) + s }
func column(of string) string {
	return text("def") + text("db") + text("t") + text("t") + text(of) + text(of) + "\x0c" + strings.Repeat("\x00", 12)
}

// usesNow is an OK that says which database is in use.
func usesNow(schema string) string {
	changes := "\x01" + text(text(schema))
	return ok(statusSession | 2)[:7] + text("") + text(changes)
}

const caps = canProtocol41 | canSecure | canMethods | canConnectWithSchema | 1

func greets(version string) string { return offers(version, 1<<32-1) }

// offers is the greeting of a server that can so much.
func offers(version string, capabilities uint64) string {
	return pkt(0, "\x0a"+version+"\x00\x2a\x00\x00\x00saltsalt\x00"+little(capabilities&0xffff, 2)+"\x21\x02\x00"+little(capabilities>>16, 2)+"\x15"+
		strings.Repeat("\x00", 10)+"saltsaltsalt\x00mysql_native_password\x00")
}

const secret = "hunter2-and-a-salt"

func loginBody(capabilities uint64, schema string) string {
	return little(capabilities, 4) + "\x00\x00\x00\x01\x21" + strings.Repeat("\x00", 23) + "scott\x00" + text(secret) + schema + "\x00mysql_native_password\x00"
}

// login is the beginning of a connection.
func login(capabilities uint64, schema string) []step {
	return []step{s(greets("8.0.36")), c(pkt(1, loginBody(capabilities, schema))), s(pkt(2, ok(2)))}
}

// then is the beginning of a connection, and what comes then.
func then(steps ...step) []step { return append(login(caps, "shop"), steps...) }

func play(steps []step, session protocol.Session, piece int, change func(any)) (*protocoltest.Player, *protocoltest.Recorder) {
	parser, r := protocoltest.New(Protocol(), session, limits, change)
	p := &protocoltest.Player{Parser: parser}
	p.Play(steps, piece)
	return p, r
}

// brief is a line for an exchange: its name, its text if that is another, and what is not usual of it.
func brief(x *protocoltest.Exchange) string {
	line := x.Name
	if op, _ := x.Attributes["db.operation.name"].(string); op != x.Name && !strings.HasPrefix(x.Name, op+" ") {
		line += " op=" + op
	}
	var more []string
	for k, v := range x.Attributes {
		switch k {
		case "db.operation.name", "db.query.summary", "db.stored_procedure.name":
		case "db.query.text":
			if v != x.Name {
				more = append(more, fmt.Sprintf("{%v}", v))
			}
		case "db.system.name":
			if v != "mysql" {
				more = append(more, fmt.Sprint(v))
			}
		case "db.namespace":
			if v != "shop" {
				more = append(more, fmt.Sprintf("db=%v", v))
			}
		case "db.collection.name":
			if !strings.Contains(x.Name, v.(string)) {
				more = append(more, fmt.Sprintf("on=%v", v))
			}
		default:
			more = append(more, fmt.Sprintf("%s=%v", strings.TrimPrefix(strings.TrimPrefix(k, "db."), "socketflow."), v))
		}
	}
	if _, known := x.Attributes["db.namespace"]; !known {
		more = append(more, "db=unknown")
	}
	return x.Line(line, more...)
}

func briefs(r *protocoltest.Recorder) string { return r.Lines(brief) }

// check plays the steps whole, byte by byte, and in odd pieces. Each time the exchanges have to be these.
func check(t *testing.T, steps []step, session protocol.Session, want []string, errors ...protocol.ParseError) {
	t.Helper()
	for _, piece := range []int{0, 1, 3, 7} {
		p, r := play(steps, session, piece, nil)
		if r.Switched == nil {
			p.Close(0)
		}
		compare(t, fmt.Sprintf("in pieces of %d", piece), p, r, want, errors)
	}
}

func compare(t *testing.T, how string, p *protocoltest.Player, r *protocoltest.Recorder, want []string, errors []protocol.ParseError) {
	t.Helper()
	r.Check(t, how, p.Parser, brief, want, errors, secret, "scott")
}

func raw(config any) { config.(*sqltext.Config).RawQueryText = true }
