package postgres

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/protocoltest"
)

var limits = protocol.Limits{HeadBytes: 4096, Outstanding: 64}

type step = protocoltest.Step

var c, s = protocoltest.FromClient, protocoltest.FromServer

func number(n int) string { return string(binary.BigEndian.AppendUint32(nil, uint32(n))) }

func short(n int) string { return string(binary.BigEndian.AppendUint16(nil, uint16(n))) }

// msg is a message: its type, and a body whose parts are joined.
func msg(kind byte, body ...string) string {
	all := strings.Join(body, "")
	return string(kind) + number(len(all)+4) + all
}

// The messages of a client.
func startup(parameters ...string) string {
	body := number(3<<16) + strings.Join(parameters, "\x00") + "\x00\x00"
	return number(len(body)+4) + body
}
func query(sql string) string       { return msg('Q', sql, "\x00") }
func parse(name, sql string) string { return msg('P', name, "\x00", sql, "\x00", short(0)) }
func bind(portal, name string) string {
	return msg('B', portal, "\x00", name, "\x00", short(0), short(1), number(6), secret, short(0))
}
func describe(kind, name string) string      { return msg('D', kind, name, "\x00") }
func execute(portal string, rows int) string { return msg('E', portal, "\x00", number(rows)) }
func closing(kind, name string) string       { return msg('C', kind, name, "\x00") }

// secret is in what must not be emitted.
const secret = "SECRET"

// The messages of a server.
var (
	parseDone, bindDone, closeDone = msg('1'), msg('2'), msg('3')
	none                           = msg('n')
	columns                        = msg('T', short(1), "a\x00", number(0), short(0), number(23), short(4), number(-1), short(0))
	row                            = msg('D', short(1), number(6), secret)
	types                          = msg('t', short(1), number(23))
	portalFull                     = msg('s')
	empty                          = msg('I')
	data                           = msg('d', secret, "\n")
	copiesTo, copiesFrom, copiesBy = msg('H', "\x00", short(0)), msg('G', "\x00", short(0)), msg('W', "\x00", short(0))
	flush, sync, copied            = msg('H'), msg('S'), msg('c')
	idle, inTransaction, aborted   = msg('Z', "I"), msg('Z', "T"), msg('Z', "E")
	standard                       = msg('S', "standard_conforming_strings\x00on\x00")
	welcome                        = msg('R', number(0)) + standard + msg('K', number(1), number(2)) + idle
)

func tag(text string) string { return msg('C', text, "\x00") }

func failure(code string) string {
	return msg('E', "SERROR\x00VERROR\x00C", code, "\x00M", secret, "\x00\x00")
}

func fatal(code string) string {
	return msg('E', "SFATAL\x00VFATAL\x00C", code, "\x00M", secret, "\x00\x00")
}

// login begins a conversation.
var login = []step{c(startup("user", "u", "database", "db")), s(msg('R', number(5), "salt")), c(msg('p', secret, "\x00")), s(welcome)}

func play(steps []step, session protocol.Session, piece int) (*protocoltest.Player, *protocoltest.Recorder) {
	parser, r := protocoltest.New(Protocol(), session, limits, nil)
	p := &protocoltest.Player{Parser: parser}
	p.Play(steps, piece)
	return p, r
}

// brief is a line for an exchange: its text, or its name, and what is not usual.
func brief(x *protocoltest.Exchange) string {
	text, ok := x.Attributes["db.query.text"].(string)
	if !ok {
		text = "(" + x.Name + ")"
	}
	var more []string
	for k, v := range x.Attributes {
		switch k {
		case "db.query.text", "db.system.name", "db.query.summary", "db.collection.name", "db.operation.name":
		case "db.namespace":
			if v != "db" {
				more = append(more, "db="+v.(string))
			}
		default:
			more = append(more, fmt.Sprintf("%s=%v", strings.TrimPrefix(strings.TrimPrefix(k, "db."), "response."), v))
		}
	}
	if _, ok := x.Attributes["db.namespace"]; !ok {
		more = append(more, "db=unknown")
	}
	return x.Line(text, more...)
}

func briefs(r *protocoltest.Recorder) string { return r.Lines(brief) }

// check plays the steps whole, byte by byte, and in odd pieces. Each time the exchanges have to be these.
func check(t *testing.T, steps []step, session protocol.Session, want []string, errors ...protocol.ParseError) {
	t.Helper()
	for _, piece := range []int{0, 1, 3, 7} {
		p, r := play(steps, session, piece)
		p.Close(0)
		r.Check(t, fmt.Sprintf("in pieces of %d", piece), p.Parser, brief, want, errors, secret)
	}
}

// ended checks what is left at the end of a conversation.
func ended(t *testing.T, p *protocoltest.Player, r *protocoltest.Recorder) {
	t.Helper()
	r.Ended(t, p.Parser, secret)
}
