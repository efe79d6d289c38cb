package mysql

import (
	"strings"
	"testing"

	"github.com/socketflow/socketflow/internal/protocol"
)

// Results as a server sends them to a client that wants EOF packets, and to one that does not.
var (
	oneRow    = pkts(1, "\x01", column("a"), eof(2), text("1"), eof(2))
	oneRowNew = pkts(1, "\x01", column("a"), text("1"), rowEnd(2))
)

func TestParserReadsConversations(t *testing.T) {
	for name, x := range map[string]struct {
		steps  []step
		want   []string
		errors []protocol.ParseError
	}{
		"login": {login(caps, "shop"), nil, nil},
		"login without a database": {
			append(login(caps&^canConnectWithSchema, ""), c(cmd(0x0e, "")), s(pkt(1, ok(2)))),
			[]string{"COM_PING db=unknown"}, nil,
		},
		"MariaDB": {
			[]step{s(greets("5.5.5-10.11.6-MariaDB-0+deb12u1")), c(pkt(1, loginBody(caps, "shop"))), s(pkt(2, ok(2))), c(query("SELECT 1")), s(oneRow)},
			[]string{"SELECT mariadb response.returned_rows=1 {SELECT ?}"}, nil,
		},
		"questions before the login": {
			[]step{s(greets("8.4.0")), c(pkt(1, loginBody(caps, "shop"))), s(pkt(2, "\xfecaching_sha2_password\x00salt\x00")), c(pkt(3, secret)),
				s(pkt(4, "\x01\x04")), c(pkt(5, secret)), s(pkt(6, ok(2))), c(cmd(0x0e, "")), s(pkt(1, ok(2)))},
			[]string{"COM_PING"}, nil,
		},
		"refused": {
			[]step{s(greets("8.4.0")), c(pkt(1, loginBody(caps, "shop"))), s(pkt(2, fail(1045, "#28000Access denied for user 'scott'@'localhost'")))},
			[]string{"COM_CONNECT db.sqlstate=28000 response.status_code=1045"}, nil,
		},
		"host refused": {[]step{s(pkt(0, fail(1130, "Host '192.0.2.1' is not allowed to connect")))}, nil, nil},
		"text": {
			then(c(query("SELECT name FROM users WHERE id = 7 AND note = 'secret'")), s(pkts(1, "\x01", column("name"), eof(2), text("scott"), text("x"), eof(2)))),
			[]string{"SELECT users response.returned_rows=2 {SELECT name FROM users WHERE id = ? AND note = ?}"}, nil,
		},
		"no rows":   {then(c(query("SELECT 1 FROM t")), s(pkts(1, "\x01", column("a"), eof(2), eof(2)))), []string{"SELECT t response.returned_rows=0 {SELECT ? FROM t}"}, nil},
		"no EOF":    {append(login(caps|canReplaceEOF, "shop"), c(query("SELECT 1 FROM t")), s(oneRowNew), c(query("SELECT 1 FROM t")), s(pkts(1, "\x01", column("a"), rowEnd(2)))), []string{"SELECT t response.returned_rows=1 {SELECT ? FROM t}", "SELECT t response.returned_rows=0 {SELECT ? FROM t}"}, nil},
		"update":    {then(c(query("UPDATE t SET a = 1")), s(pkt(1, ok(2)))), []string{"UPDATE t {UPDATE t SET a = ?}"}, nil},
		"error":     {then(c(query("SELECT * FROM nowhere")), s(pkt(1, fail(1146, "#42S02Table 'shop.nowhere' doesn't exist")))), []string{"SELECT nowhere db.sqlstate=42S02 response.status_code=1146 {SELECT * FROM nowhere}"}, nil},
		"old error": {then(c(query("SELECT 1")), s(pkt(1, fail(1317, "Query execution was interrupted")))), []string{"SELECT response.status_code=1317 {SELECT ?}"}, nil},
		"error behind rows": {
			then(c(query("SELECT * FROM t")), s(pkts(1, "\x01", column("a"), eof(2), text("1"), fail(1317, "#70100x")))),
			[]string{"SELECT t db.sqlstate=70100 response.status_code=1317 {SELECT * FROM t}"}, nil,
		},
		"NULL and an empty value first": {
			then(c(query("SELECT a FROM t")), s(pkts(1, "\x01", column("a"), eof(2), "\xfb", "\x00", "\x00abcdef", eof(2)))),
			[]string{"SELECT t response.returned_rows=3 {SELECT a FROM t}"}, nil,
		},
		"several statements": {
			then(c(query("SELECT 1; UPDATE t SET a = 1; SELECT 2")), s(pkts(1, "\x01", column("a"), eof(2|statusMore), text("1"), eof(2|statusMore), ok(2|statusMore), "\x01", column("a"), eof(2), text("1"), eof(2)))),
			[]string{"BATCH operation.batch.size=3 response.returned_rows=2 {SELECT ?; UPDATE t SET a = ?; SELECT ?}"}, nil,
		},
		"results of a procedure": {
			then(c(query("CALL report(1)")), s(pkts(1, "\x01", column("a"), eof(2|statusMore), text("1"), eof(2|statusMore), ok(2))), c(cmd(0x0e, "")), s(pkt(1, ok(2)))),
			[]string{"CALL report response.returned_rows=1 {CALL report(?)}", "COM_PING"}, nil,
		},
		"LOCAL INFILE": {
			then(c(query("LOAD DATA LOCAL INFILE 'secret.csv' INTO TABLE t")), s(pkt(1, "\xfbsecret.csv")), c(pkts(2, "1,secret\n", "2,secret\n", "")), s(pkt(5, ok(2))), c(cmd(0x0e, "")), s(pkt(1, ok(2)))),
			[]string{"LOAD {LOAD DATA LOCAL INFILE ? INTO TABLE t}", "COM_PING"}, nil,
		},
		"LOCAL INFILE whose numbers begin again": {
			then(append([]step{c(query("LOAD DATA LOCAL INFILE 'x' INTO TABLE t")), s(pkt(1, "\xfbx"))}, append(file(2, 300), s(pkt(byte((2+301)%256), ok(2))), c(cmd(0x0e, "")), s(pkt(1, ok(2))))...)...),
			[]string{"LOAD {LOAD DATA LOCAL INFILE ? INTO TABLE t}", "COM_PING"}, nil,
		},
		"commands": {
			then(c(cmd(0x09, "")), s(pkt(1, "Uptime: 5  Threads: 1")), c(cmd(0x1b, "\x00\x00")), s(pkt(1, eof(2))), c(cmd(0x0d, "")), s(pkt(1, eof(2))),
				c(cmd(0x0a, "")), s(oneRow), c(cmd(0x04, "t\x00")), s(pkts(1, column("a"), column("b"), eof(2))), c(cmd(0x1f, "")), s(pkt(1, ok(2))), c(cmd(0x77, "x")), s(pkt(1, fail(1047, "#08S01x"))), c(cmd(0x01, ""))),
			[]string{"COM_STATISTICS", "COM_SET_OPTION", "COM_DEBUG", "COM_PROCESS_INFO response.returned_rows=1", "COM_FIELD_LIST", "COM_RESET_CONNECTION", "mysql op=_OTHER db.sqlstate=08S01 response.status_code=1047", "COM_QUIT unanswered"}, nil,
		},
		"no command": {then(c(pkt(0, "")), s(pkt(1, fail(1047, "#08S01x")))), []string{"mysql op=_OTHER db.sqlstate=08S01 response.status_code=1047"}, nil},
		"databases": {
			then(c(cmd(0x02, "other")), s(pkt(1, ok(2))), c(query("DO 1")), s(pkt(1, ok(2))), c(cmd(0x02, "none")), s(pkt(1, fail(1049, "#42000x"))), c(query("/* x */ use `a``b`")), s(pkt(1, ok(2))),
				c(query("DO 1")), s(pkt(1, ok(2))), c(query("USE none")), s(pkt(1, fail(1049, "#42000x"))), c(query("DO 2; use c;")), s(pkts(1, ok(2|statusMore), ok(2))), c(query("DO 1")), s(pkt(1, ok(2))),
				c(query("use d; DO 3")), s(pkts(1, ok(2|statusMore), fail(1317, "#70100x"))), c(query("DO 1")), s(pkt(1, ok(2)))),
			[]string{"COM_INIT_DB db=other", "DO db=other {DO ?}", "COM_INIT_DB db.sqlstate=42000 db=none response.status_code=1049", "USE db=other {use `a``b`}", "DO db=a`b {DO ?}",
				"USE db.sqlstate=42000 db=a`b response.status_code=1049 {USE none}", "BATCH db=a`b operation.batch.size=2 {DO ?; use c;}", "DO db=c {DO ?}",
				"BATCH db.sqlstate=70100 db=c operation.batch.size=2 response.status_code=1317 {use d; DO ?}", "DO db=unknown {DO ?}"}, nil,
		},
		"databases that the server names": {
			append(login(caps|canTrack, "shop"), c(query("USE other")), s(pkt(1, usesNow("Other"))), c(query("DO 1")), s(pkt(1, ok(2)))),
			[]string{"USE {USE other}", "DO db=Other {DO ?}"}, nil,
		},
		"another user": {
			then(c(cmd(0x11, "tiger\x00"+text(secret)+"other\x00\x21\x00mysql_native_password\x00")), s(pkt(1, "\xfemysql_native_password\x00salt\x00")), c(pkt(2, secret)), s(pkt(3, ok(2))), c(query("DO 1")), s(pkt(1, ok(2)))),
			[]string{"COM_CHANGE_USER db=other", "DO db=other {DO ?}"}, nil,
		},
		"binlog": {
			then(c(cmd(0x15, strings.Repeat("x", 18))), s(pkt(1, ok(2))), c(cmd(0x12, "\x04\x00\x00\x00\x00\x00\x01\x00\x00\x00binlog.000001")), s(pkts(1, "\x00event", "\x00"+secret)), s(pkt(3, "\x00event"))),
			[]string{"COM_REGISTER_SLAVE", "COM_BINLOG_DUMP"}, nil,
		},
		"binlog refused": {
			then(c(cmd(0x12, "\x04\x00\x00\x00\x00\x00\x01\x00\x00\x00x")), s(pkt(1, fail(1227, "#42000x"))), c(cmd(0x0e, "")), s(pkt(1, ok(2)))),
			[]string{"COM_BINLOG_DUMP db.sqlstate=42000 response.status_code=1227", "COM_PING"}, nil,
		},
		"reports of progress": {
			append(login(caps, "shop"), c(query("ALTER TABLE t ADD b INT")), s(pkt(1, fail(0xffff, "\x01\x01\x02\x10\x27\x00\x03abc"))), s(pkts(2, fail(0xffff, "\x01\x02\x02\x10\x27\x00\x03abc"), ok(2)))),
			[]string{"ALTER TABLE t {ALTER TABLE t ADD b INT}"}, nil,
		},
		"columns that are not described, by MySQL": {
			then(c(query("SELECT 1 FROM t")), s(pkts(1, "\x00\x01", text("1"), eof(2)))), []string{"SELECT t response.returned_rows=1 {SELECT ? FROM t}"}, nil,
		},
		"columns that are not described, by MariaDB": {
			append(login(caps|canReplaceEOF, "shop"), c(query("SELECT 1 FROM t")), s(pkts(1, "\x03\x00", text("1")+"\x00\x00", rowEnd(2))), c(query("SELECT 1 FROM t")), s(pkts(1, "\x01\x01", column("a"), text("1"), rowEnd(2)))),
			[]string{"SELECT t response.returned_rows=1 {SELECT ? FROM t}", "SELECT t response.returned_rows=1 {SELECT ? FROM t}"}, nil,
		},
		"attributes of a statement": {
			append(login(caps|canAttributes, "shop"), c(query("\x00\x01SELECT 1 FROM t")), s(oneRow),
				c(query("\x03\x01\x02\x01\xfd\x00"+text("trace")+"\x03\x00"+text("null")+"\x08\x00"+text("n")+text(secret)+"abcdefgh"+"SELECT 1 FROM t")), s(oneRow)),
			[]string{"SELECT t response.returned_rows=1 {SELECT ? FROM t}", "SELECT t response.returned_rows=1 {SELECT ? FROM t}"}, nil,
		},
		"what the client can, and the server cannot": {
			[]step{s(offers("5.5.5-10.1.48-MariaDB", caps)), c(pkt(1, loginBody(caps|canAttributes|canReplaceEOF|canCompress|canTrack, "shop"))), s(pkt(2, ok(2|statusSession))),
				c(query("SELECT 1")), s(oneRow), c(query("SELECT 2 FROM t")), s(pkts(1, "\x01", column("a"), eof(2), eof(2)))},
			[]string{"SELECT mariadb response.returned_rows=1 {SELECT ?}", "SELECT t mariadb response.returned_rows=0 {SELECT ? FROM t}"}, nil,
		},
		"connection that the server ends": {
			then(c(cmd(0x0e, "")), s(pkt(1, ok(2))), s(pkt(0, fail(4031, "#HY000The client was disconnected by the server because of inactivity")))), []string{"COM_PING"}, nil,
		},
		"cut off": {then(c(query("SELECT SLEEP(9)"))), []string{"SELECT error=connection_closed unanswered {SELECT SLEEP(?)}"}, nil},
		"cut off within rows": {
			then(c(query("SELECT a FROM t")), s(pkts(1, "\x01", column("a"), eof(2), text("1")))), []string{"SELECT t error=connection_closed response.returned_rows=1 {SELECT a FROM t}"}, nil,
		},
		"pipeline": {
			then(c(query("DO 1"), query("SELECT 1 FROM t"), cmd(0x0e, "")), s(pkt(1, ok(2)), oneRow, pkt(1, ok(2)))), []string{"DO {DO ?}", "SELECT t response.returned_rows=1 {SELECT ? FROM t}", "COM_PING"}, nil,
		},
		"malformed reply": {
			then(c(query("DO 1")), s(pkt(1, ok(2))), c(query("SELECT 1")), s(pkt(1, "\xfdzzzz")), c(cmd(0x0e, "")), s(pkt(1, ok(2)))),
			[]string{"DO {DO ?}", "SELECT error=malformed_response {SELECT ?}", "COM_PING"}, []protocol.ParseError{protocol.Malformed},
		},
		"secrets in statements": {
			then(c(query("CREATE USER joe IDENTIFIED BY '"+secret+"'")), s(pkt(1, ok(2)))), []string{"CREATE USER {CREATE USER joe IDENTIFIED BY ?}"}, nil,
		},
	} {
		t.Run(name, func(t *testing.T) { check(t, x.steps, protocol.Session{}, x.want, x.errors...) })
	}
}

// file is that many packets of a file that the server has asked for, and the empty one behind them.
func file(sequence, n int) (steps []step) {
	for range n {
		steps = append(steps, c(pkt(byte(sequence), "1,2\n")))
		sequence++
	}
	return append(steps, c(pkt(byte(sequence), "")))
}

// preparedOK is the reply to COM_STMT_PREPARE, without descriptions.
func preparedOK(id uint64, columns, parameters uint64) string {
	return "\x00" + little(id, 4) + little(columns, 2) + little(parameters, 2) + "\x00\x00\x00"
}

func execute(id uint64, more string) string {
	return cmd(0x17, little(id, 4)+"\x00\x01\x00\x00\x00"+more)
}

func TestPreparedStatements(t *testing.T) {
	const sql = "SELECT a FROM t WHERE b = ?"
	prepare := cmd(0x16, sql)
	described := pkts(1, preparedOK(1, 1, 1), column("?"), eof(2), column("a"), eof(2))
	describedNew := pkts(1, preparedOK(1, 1, 1), column("?"), column("a"))
	binary := pkts(1, "\x01", column("a"), eof(2), "\x00\x00\x01\x00\x00\x00", "\x00\x00\x02\x00\x00\x00", eof(2))
	const prepared, executed = "COM_STMT_PREPARE on=t {" + sql + "}", "SELECT t response.returned_rows=2 {" + sql + "}"
	for name, x := range map[string]struct {
		session protocol.Session
		steps   []step
		want    []string
		errors  []protocol.ParseError
	}{
		"life": {
			protocol.Session{},
			then(c(prepare), s(described), c(execute(1, "\x00\x01\x08\x00"+secret)), s(binary), c(cmd(0x1a, little(1, 4))), s(pkt(1, ok(2))), c(cmd(0x18, little(1, 4)+"\x00\x00"+secret), execute(1, "")), s(binary), c(cmd(0x19, little(1, 4)), cmd(0x0e, "")), s(pkt(1, ok(2)))),
			[]string{prepared, executed, "COM_STMT_RESET", "COM_STMT_SEND_LONG_DATA unanswered", executed, "COM_STMT_CLOSE unanswered", "COM_PING"}, nil,
		},
		"without EOF": {
			protocol.Session{},
			append(login(caps|canReplaceEOF, "shop"), c(prepare), s(describedNew), c(execute(1, "")), s(pkts(1, "\x01", column("a"), "\x00\x00\x01", "\x00\x00\x02", rowEnd(2))), c(cmd(0x16, "DO 1")), s(pkt(1, preparedOK(2, 0, 0))), c(cmd(0x0e, "")), s(pkt(1, ok(2)))),
			[]string{prepared, executed, "COM_STMT_PREPARE {DO ?}", "COM_PING"}, nil,
		},
		"parameters only": {
			protocol.Session{},
			then(c(cmd(0x16, "DO ?")), s(pkts(1, preparedOK(2, 0, 1), column("?"), eof(2))), c(execute(2, "")), s(pkt(1, ok(2)))), []string{"COM_STMT_PREPARE {DO ?}", "DO {DO ?}"}, nil,
		},
		"without the EOF that was agreed on": {
			protocol.Session{},
			then(c(cmd(0x16, "DO ?")), s(pkts(1, preparedOK(2, 0, 1), column("?"))), c(cmd(0x0e, "")), s(pkt(1, ok(2)))), []string{"COM_STMT_PREPARE {DO ?}", "COM_PING"}, nil,
		},
		"cursor": {
			protocol.Session{},
			then(c(prepare), s(described), c(execute(1, "")), s(pkts(1, "\x01", column("a"), eof(2|statusCursor))), c(cmd(0x1c, little(1, 4)+little(10, 4))), s(pkts(1, "\x00\x00\x01", eof(2|statusCursor|0x80)))),
			[]string{prepared, "SELECT t response.returned_rows=0 {" + sql + "}", "COM_STMT_FETCH on=t response.returned_rows=1 {" + sql + "}"}, nil,
		},
		"cursor without EOF": {
			protocol.Session{},
			append(login(caps|canReplaceEOF, "shop"), c(prepare), s(describedNew), c(execute(1, "")), s(pkts(1, "\x01", column("a"), rowEnd(2|statusCursor))), c(cmd(0x1c, little(1, 4)+little(10, 4))), s(pkts(1, "\x00\x00\x01", rowEnd(2|0x80)))),
			[]string{prepared, "SELECT t response.returned_rows=0 {" + sql + "}", "COM_STMT_FETCH on=t response.returned_rows=1 {" + sql + "}"}, nil,
		},
		"refused": {
			protocol.Session{},
			then(c(cmd(0x16, "SELECT a FROM nowhere")), s(pkt(1, fail(1146, "#42S02x")))), []string{"COM_STMT_PREPARE db.sqlstate=42S02 on=nowhere response.status_code=1146 {SELECT a FROM nowhere}"}, nil,
		},
		"a number that the client has made up": {
			protocol.Session{},
			then(c(execute(9, "")), s(pkt(1, fail(1243, "#HY000x")))), []string{"COM_STMT_EXECUTE db.sqlstate=HY000 response.status_code=1243"}, []protocol.ParseError{protocol.Undecodable},
		},
		"closed": {
			protocol.Session{},
			then(c(prepare), s(described), c(cmd(0x19, little(1, 4))), c(execute(1, "")), s(pkt(1, fail(1243, "#HY000x")))), []string{prepared, "COM_STMT_CLOSE unanswered", "COM_STMT_EXECUTE db.sqlstate=HY000 response.status_code=1243"}, []protocol.ParseError{protocol.Undecodable},
		},
		"before the connection was reset": {
			protocol.Session{},
			then(c(prepare), s(described), c(cmd(0x1f, "")), s(pkt(1, ok(2))), c(execute(1, "")), s(pkt(1, fail(1243, "#HY000x")))),
			[]string{prepared, "COM_RESET_CONNECTION", "COM_STMT_EXECUTE db.sqlstate=HY000 response.status_code=1243"}, []protocol.ParseError{protocol.Undecodable},
		},
		"MariaDB's pipeline of two": {
			protocol.Session{},
			then(c(prepare, execute(lastPrepared, "")), s(described, binary)), []string{prepared, executed}, nil,
		},
		"MariaDB's bulk": {
			protocol.Session{},
			then(c(cmd(0x16, "INSERT INTO t VALUES (?)")), s(pkts(1, preparedOK(1, 0, 1), column("?"), eof(2))), c(cmd(0xfa, little(1, 4)+"\x80\x00\x03\x00\x00\x01\x00\x00\x00")), s(pkt(1, ok(2))),
				c(cmd(0xfa, little(1, 4)+"\x80\x00\xfd\x00\x00"+text(secret)+"\x01\x00"+text("b"))), s(pkt(1, ok(2))), c(cmd(0xfa, little(1, 4)+"\x80\x00\xfd\x00\x00\x09b")), s(pkt(1, fail(1105, "#HY000x")))),
			[]string{"COM_STMT_PREPARE on=t {INSERT INTO t VALUES (?)}", "INSERT t {INSERT INTO t VALUES (?)}", "INSERT t operation.batch.size=3 {INSERT INTO t VALUES (?)}", "INSERT t db.sqlstate=HY000 response.status_code=1105 {INSERT INTO t VALUES (?)}"}, nil,
		},
		"older than the collector": {
			protocol.Session{Joined: true},
			[]step{c(execute(1, "")), s(binary), c(prepare), s(pkts(1, preparedOK(2, 1, 1), column("?"), eof(2), column("a"), eof(2))), {Bytes: execute(2, ""), Silence: second}, s(binary)},
			[]string{"COM_STMT_EXECUTE capture=3 db=unknown response.returned_rows=2", "COM_STMT_PREPARE capture=3 db=unknown on=t {" + sql + "}", "SELECT t capture=3 db=unknown response.returned_rows=2 {" + sql + "}"}, []protocol.ParseError{protocol.Undecodable},
		},
		"parameters only, older than the collector": {
			protocol.Session{Joined: true},
			[]step{c(cmd(0x16, "DO ?")), s(pkts(1, preparedOK(2, 0, 1), column("?"), eof(2))), c(execute(2, "")), s(pkt(1, ok(2)))},
			[]string{"COM_STMT_PREPARE capture=3 db=unknown {DO ?}", "DO capture=3 db=unknown {DO ?}"}, nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			pieces := []int{0, 1, 3, 7}
			if x.session.Joined { // whose calls begin with packets
				pieces = pieces[:1]
			}
			for _, piece := range pieces {
				p, r := play(x.steps, x.session, piece, nil)
				p.Close(0)
				compare(t, name, p, r, x.want, x.errors)
			}
		})
	}
}

func TestTooManyStatementsForgetTheLeastUsed(t *testing.T) {
	steps := login(caps|canReplaceEOF, "shop")
	for i := range uint64(maxStatements + 1) {
		steps = append(steps, c(cmd(0x16, "DO 1")), s(pkt(1, preparedOK(i, 0, 0))), c(execute(0, "")), s(pkt(1, ok(2))))
	}
	steps = append(steps, c(execute(0, "")), s(pkt(1, ok(2))), c(execute(1, "")), s(pkt(1, ok(2))), c(execute(2, "")), s(pkt(1, ok(2))))
	p, r := play(steps, protocol.Session{}, 0, nil)
	if held := p.Parser.Held(); held != maxStatements*statementBytes {
		t.Errorf("%d bytes are held", held)
	}
	p.Close(0)
	var last []string
	for _, x := range r.Exchanges[len(r.Exchanges)-3:] {
		last = append(last, brief(&x))
	}
	if got, want := strings.Join(last, "\n"), "DO {DO ?}\nCOM_STMT_EXECUTE capture=1\nDO {DO ?}"; got != want {
		t.Errorf("%s\nwant:\n%s", got, want)
	}
	if r.Errors != [protocol.ParseErrors]int{protocol.Undecodable: 1} {
		t.Errorf("errors %v", r.Errors)
	}
}

func TestTLSIsAnotherProtocol(t *testing.T) {
	ask := pkt(1, little(caps|canTLS, 4)+"\x00\x00\x00\x01\x21"+strings.Repeat("\x00", 23))
	_, r := play([]step{s(greets("8.0.36")), c(ask, "\x16\x03\x01hello")}, protocol.Session{}, 0, nil)
	if r.Switched == nil || string(r.Returned[protocol.FromClient]) != "\x16\x03\x01hello" || len(r.Exchanges) > 0 {
		t.Errorf("%+v", r)
	}
	_, r = play([]step{s(greets("8.0.36")), c(ask)}, protocol.Session{}, 1, nil)
	if r.Switched == nil || len(r.Exchanges) > 0 {
		t.Errorf("in pieces: %+v", r)
	}
	check(t, []step{c(pkt(2, loginBody(caps|canTLS, "shop"))), s(pkt(3, ok(2))), c(query("DO 1")), s(pkt(1, ok(2)))}, protocol.Session{TLS: true}, []string{"DO {DO ?}"})
	// What the server can is not known there: its greeting came before.
	both := []string{"SELECT response.returned_rows=1 {SELECT ?}", "SELECT t response.returned_rows=1 {SELECT ? FROM t}"}
	asks := loginBody(caps|canTLS|canAttributes|canReplaceEOF, "shop")
	check(t, []step{c(pkt(2, asks)), s(pkt(3, ok(2))), c(query("SELECT 1")), s(oneRow), c(query("SELECT 1 FROM t")), s(oneRow)}, protocol.Session{TLS: true}, both)
	check(t, []step{c(pkt(2, asks)), s(pkt(3, ok(2))), c(query("\x00\x01SELECT 1")), s(oneRowNew), c(query("\x00\x01SELECT 1 FROM t")), s(oneRowNew)}, protocol.Session{TLS: true}, both)
	body := loginBody(caps|canTLS, "shop")
	check(t, []step{c(pkt(2, body[:28]+"\x01"+body[29:])), s(pkt(3, ok(2)))}, protocol.Session{TLS: true}, nil)
}

func TestPacketsOf16MiB(t *testing.T) {
	long := strings.Repeat("x", maxPacket)
	insert := "\x03INSERT INTO t VALUES ('"
	insert += strings.Repeat("x", maxPacket-len(insert))
	steps := then(
		c(pkt(0, insert), pkt(1, long), pkt(2, "x')")), s(pkt(3, ok(2))),
		c(pkt(0, insert), pkt(1, "")), s(pkt(2, ok(2))),
		c(query("SELECT a FROM t")), s(pkts(1, "\x01", column("a"), eof(2), "\xfe"+long[1:], long, "\xfe\x00\x00\x02\x00", text("1"), eof(2))),
		c(cmd(0x0e, "")), s(pkt(1, ok(2))),
	)
	const inserted = "INSERT t capture=1 {INSERT INTO t VALUES (? ...}"
	p, r := play(steps, protocol.Session{}, 0, nil)
	p.Close(0)
	compare(t, "whole", p, r, []string{inserted, inserted, "SELECT t response.returned_rows=2 {SELECT a FROM t}", "COM_PING"}, []protocol.ParseError{protocol.HeadTooLong, protocol.HeadTooLong})
}

func TestRefusalOfALongRequestComesBeforeItsEnd(t *testing.T) {
	body := "\x03INSERT INTO t VALUES (1)" + strings.Repeat(" ", maxPacket-25)
	p, r := play(then(c(pkt(0, body)), s(pkt(1, fail(1153, "#08S01Got a packet bigger than 'max_allowed_packet' bytes"))), c(pkt(1, "x")), c(cmd(0x0e, "")), s(pkt(1, ok(2)))), protocol.Session{}, 0, nil)
	p.Close(0)
	compare(t, "refused", p, r, []string{"INSERT t capture=1 db.sqlstate=08S01 response.status_code=1153 {INSERT INTO t VALUES (?) ...}", "COM_PING"}, []protocol.ParseError{protocol.HeadTooLong})
}

func TestRawTextIsEmittedOnlyIfConfigured(t *testing.T) {
	p, r := play(then(c(query("SELECT 'x' FROM t")), s(oneRow), c(query("SET PASSWORD = 'y'")), s(pkt(1, ok(2)))), protocol.Session{}, 0, raw)
	p.Close(0)
	if got := briefs(r); !strings.Contains(got, "{SELECT 'x' FROM t}") || strings.Contains(got, "'y'") {
		t.Error(got)
	}
}
