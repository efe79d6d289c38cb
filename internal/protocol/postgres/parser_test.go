package postgres

import (
	"strings"
	"testing"

	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/protocoltest"
	"github.com/socketflow/socketflow/internal/sqltext"
)

// one is a whole exchange with the extended query protocol.
func one(sql, done string) []step {
	return []step{c(parse("", sql), bind("", ""), describe("P", ""), execute("", 0), sync), s(parseDone, bindDone, none, tag(done), idle)}
}

func TestParserReadsConversations(t *testing.T) {
	const (
		get = "SELECT a FROM t WHERE b = $1"
		put = "INSERT INTO t VALUES ('" + secret + "')"
	)
	for name, x := range map[string]struct {
		steps  []step
		want   []string
		errors []protocol.ParseError
	}{
		"simple":              {[]step{c(query("SELECT 1 FROM t")), s(columns, row, tag("SELECT 1"), idle)}, []string{"SELECT ? FROM t returned_rows=1"}, nil},
		"no rows":             {[]step{c(query("SELECT 1 FROM t")), s(columns, tag("SELECT 0"), idle)}, []string{"SELECT ? FROM t returned_rows=0"}, nil},
		"changes":             {[]step{c(query(put)), s(tag("INSERT 0 5"), idle)}, []string{"INSERT INTO t VALUES (?)"}, nil},
		"changes and rows":    {[]step{c(query("DELETE FROM t RETURNING a")), s(columns, row, row, tag("DELETE 2"), idle)}, []string{"DELETE FROM t RETURNING a returned_rows=2"}, nil},
		"creates from rows":   {[]step{c(query("CREATE TABLE u AS SELECT 1")), s(tag("SELECT 1"), idle)}, []string{"CREATE TABLE u AS SELECT ?"}, nil},
		"empty":               {[]step{c(query("")), s(empty, idle), c(query(";;")), s(empty, idle), c(query("-- ping")), s(empty, idle)}, []string{"(postgresql)", "(postgresql)", "(postgresql)"}, nil},
		"error":               {[]step{c(query("SELECT 1 FROM nope")), s(failure("42P01"), idle)}, []string{"SELECT ? FROM nope status_code=42P01"}, nil},
		"syntax error":        {[]step{c(query("SELECT 'a ' FROM " + secret + " ' b '")), s(failure("42601"), idle), c(query("SELEC 'x'")), s(failure("42601"), idle)}, []string{"SELECT ... status_code=42601", "SELEC ... status_code=42601"}, nil},
		"error behind rows":   {[]step{c(query("SELECT 1/a FROM t")), s(columns, row, failure("22012"), idle)}, []string{"SELECT ?/a FROM t status_code=22012"}, nil},
		"several statements":  {[]step{c(query("BEGIN; UPDATE t SET a = 1; ;COMMIT;")), s(tag("BEGIN"), tag("UPDATE 3"), tag("COMMIT"), idle)}, []string{"BEGIN operation.batch.size=3", "UPDATE t SET a = ? operation.batch.size=3", "COMMIT operation.batch.size=3"}, nil},
		"several, an error":   {[]step{c(query("SELECT 1; SELECT 1/0; SELECT 2")), s(columns, row, tag("SELECT 1"), failure("22012"), idle), c(query("SELECT 3")), s(columns, tag("SELECT 0"), idle)}, []string{"SELECT ? operation.batch.size=3 returned_rows=1", "SELECT ?/? operation.batch.size=3 status_code=22012", "SELECT ? returned_rows=0"}, nil},
		"notices between":     {[]step{c(query("SELECT 1 FROM t")), s(msg('N', "SNOTICE\x00M", secret, "\x00\x00"), columns, msg('N', "SNOTICE\x00\x00"), row, msg('S', "TimeZone\x00UTC\x00"), tag("SELECT 1"), idle)}, []string{"SELECT ? FROM t returned_rows=1"}, nil},
		"notification":        {[]step{c(query("LISTEN ch")), s(tag("LISTEN"), idle), s(msg('A', number(7), "ch\x00", secret, "\x00")), s(msg('A', number(7), "My \xff\x00\x00"))}, []string{"LISTEN ch", "NOTIFY ch, ? pushed", "NOTIFY \"My \uFFFD\", ? pushed"}, nil},
		"notification within": {[]step{c(query("NOTIFY ch, '" + secret + "'")), s(tag("NOTIFY"), msg('A', number(7), "ch\x00", secret, "\x00"), idle)}, []string{"NOTIFY ch, ?", "NOTIFY ch, ? pushed"}, nil},

		"extended":           {one(get, "SELECT 0"), []string{get + " returned_rows=0"}, nil},
		"extended, rows":     {[]step{c(parse("", get), bind("", ""), describe("P", ""), execute("", 0), sync), s(parseDone, bindDone, columns, row, row, tag("SELECT 2"), idle)}, []string{get + " returned_rows=2"}, nil},
		"prepared only":      {[]step{c(parse("s", get), describe("S", "s"), sync), s(parseDone, types, columns, idle)}, nil, nil},
		"prepared, executed": {[]step{c(parse("s", get), sync), s(parseDone, idle), c(bind("", "s"), execute("", 0), sync), s(bindDone, row, tag("SELECT 1"), idle), c(bind("", "s"), execute("", 0), sync), s(bindDone, tag("SELECT 0"), idle)}, []string{get + " returned_rows=1", get + " returned_rows=0"}, nil},
		"prepare fails":      {[]step{c(parse("s", "SELECT nope"), describe("S", "s"), sync), s(failure("42703"), idle)}, []string{"SELECT nope status_code=42703"}, nil},
		"bind fails":         {[]step{c(parse("s", get), sync), s(parseDone, idle), c(bind("", "s"), execute("", 0), sync), s(failure("22P02"), idle)}, []string{get + " status_code=22P02"}, nil},
		"unknown statement":  {[]step{c(bind("", "nope"), execute("", 0), sync), s(failure("26000"), idle)}, []string{"(postgresql) status_code=26000"}, nil},
		"commit fails":       {[]step{c(parse("", put), bind("", ""), execute("", 0), sync), s(parseDone, bindDone, tag("INSERT 0 1"), failure("23503"), idle)}, []string{"INSERT INTO t VALUES (?) status_code=23503"}, nil},
		"never the previous": {[]step{c(parse("s", "SELECT 1 FROM a"), sync), s(parseDone, idle), c(parse("s", "SELECT 1 FROM b"), bind("", "s"), execute("", 0), sync), s(failure("42P05"), idle),
			c(bind("", "s"), execute("", 0), sync), s(bindDone, tag("SELECT 0"), idle)}, []string{"SELECT ? FROM b status_code=42P05", "SELECT ? FROM a returned_rows=0"}, nil},
		"never a skipped one": {[]step{c(parse("s", "SELECT 1 FROM a"), sync), s(parseDone, idle), c(parse("", "nonsense"), closing("S", "s"), parse("s", "SELECT 1 FROM b"), sync), s(failure("42601"), idle),
			c(bind("", "s"), execute("", 0), sync), s(bindDone, tag("SELECT 0"), idle)}, []string{"nonsense status_code=42601", "SELECT ? FROM a returned_rows=0"}, nil},
		"unnamed after its error": {[]step{c(parse("", get), sync), s(parseDone, idle), c(parse("", "nonsense"), sync), s(failure("42601"), idle), c(bind("", ""), execute("", 0), sync), s(failure("26000"), idle)},
			[]string{"nonsense status_code=42601", "(postgresql) status_code=26000"}, nil},
		// PgBouncer (1.21 and later, max_prepared_statements) gives statements names of its own, and closes one to make room in the cycle that prepares another.
		"named by PgBouncer": {[]step{c(parse("PGBOUNCER_1", get), bind("", "PGBOUNCER_1"), describe("P", ""), execute("", 0), sync), s(parseDone, bindDone, columns, tag("SELECT 0"), idle),
			c(closing("S", "PGBOUNCER_1"), parse("PGBOUNCER_2", put), bind("", "PGBOUNCER_2"), execute("", 0), sync), s(closeDone, parseDone, bindDone, tag("INSERT 0 1"), idle),
			c(bind("", "PGBOUNCER_2"), execute("", 0), sync), s(bindDone, tag("INSERT 0 1"), idle), c(bind("", "PGBOUNCER_1"), execute("", 0), sync), s(failure("26000"), idle)},
			[]string{get + " returned_rows=0", "INSERT INTO t VALUES (?)", "INSERT INTO t VALUES (?)", "(postgresql) status_code=26000"}, nil},
		"closed": {[]step{c(parse("s", get), sync), s(parseDone, idle), c(closing("S", "s"), sync), s(closeDone, idle), c(bind("", "s"), execute("", 0), sync), s(bindDone, tag("SELECT 0"), idle)},
			[]string{"(SELECT) returned_rows=0"}, nil},
		"deallocated": {[]step{c(parse("s", get), sync), s(parseDone, idle), c(query("DEALLOCATE S")), s(tag("DEALLOCATE"), idle), c(bind("", "s"), execute("", 0), sync), s(bindDone, tag("UPDATE 0"), idle)},
			[]string{"DEALLOCATE S", "(UPDATE)"}, nil},
		"another deallocated": {[]step{c(parse("s", get), sync), s(parseDone, idle), c(query("DEALLOCATE PREPARE \"x\"")), s(tag("DEALLOCATE"), idle), c(bind("", "s"), execute("", 0), sync), s(bindDone, tag("SELECT 0"), idle)},
			[]string{"DEALLOCATE PREPARE \"x\"", get + " returned_rows=0"}, nil},
		"discarded": {[]step{c(parse("s", get), sync), s(parseDone, idle), c(query("DISCARD ALL")), s(tag("DISCARD ALL"), idle), c(bind("", "s"), execute("", 0), sync), s(bindDone, tag("COPY 7"), idle)},
			[]string{"DISCARD ALL", "(COPY)"}, nil},
		"portal of a transaction": {[]step{c(query("BEGIN")), s(tag("BEGIN"), inTransaction), c(parse("s", get), bind("c", "s"), execute("c", 2), sync), s(parseDone, bindDone, row, row, portalFull, inTransaction),
			c(execute("c", 2), sync), s(row, tag("SELECT 1"), inTransaction), c(query("COMMIT")), s(tag("COMMIT"), idle), c(execute("c", 2), sync), s(failure("34000"), idle)},
			[]string{"BEGIN", get + " returned_rows=2", get + " returned_rows=1", "COMMIT", "(postgresql) status_code=34000"}, nil},
		"pipeline": {[]step{c(parse("", put), bind("", ""), execute("", 0), parse("", get), bind("", ""), execute("", 0), sync, parse("", "SELECT 2"), bind("", ""), execute("", 0), sync),
			s(parseDone, bindDone, tag("INSERT 0 1"), parseDone, bindDone, row, tag("SELECT 1"), idle, parseDone, bindDone, tag("SELECT 0"), idle)},
			[]string{"INSERT INTO t VALUES (?)", get + " returned_rows=1", "SELECT ? returned_rows=0"}, nil},
		"pipeline, an error": {[]step{c(parse("", put), bind("", ""), execute("", 0), parse("", "SELECT 1/0"), bind("", ""), execute("", 0), parse("", get), bind("", ""), execute("", 0), sync, parse("", "SELECT 2"), bind("", ""), execute("", 0), sync),
			s(parseDone, bindDone, tag("INSERT 0 1"), parseDone, bindDone, failure("22012"), idle, parseDone, bindDone, tag("SELECT 0"), idle)},
			[]string{"INSERT INTO t VALUES (?)", "SELECT ?/? status_code=22012", "SELECT ? returned_rows=0"}, nil},
		"flush": {[]step{c(parse("", get), describe("S", ""), flush), s(parseDone, types, columns), c(bind("", ""), execute("", 0), flush), s(bindDone, tag("SELECT 0")), c(sync), s(idle)},
			[]string{get + " returned_rows=0"}, nil},

		"copy in":  {[]step{c(query("COPY t FROM STDIN")), s(copiesFrom), c(data, data), c(copied), s(tag("COPY 2"), idle)}, []string{"COPY t FROM STDIN"}, nil},
		"copy out": {[]step{c(query("COPY t TO STDOUT")), s(copiesTo, data, data, copied, tag("COPY 2"), idle)}, []string{"COPY t TO STDOUT"}, nil},
		"copy in, extended": {[]step{c(parse("", "COPY t FROM STDIN"), bind("", ""), execute("", 0), sync), s(parseDone, bindDone, copiesFrom), c(data), c(copied, sync), s(tag("COPY 1"), idle), c(query("SELECT 1")), s(columns, tag("SELECT 0"), idle)},
			[]string{"COPY t FROM STDIN", "SELECT ? returned_rows=0"}, nil},
		"copy in, given up": {[]step{c(query("COPY t FROM STDIN")), s(copiesFrom), c(data, msg('f', secret, "\x00")), s(failure("57014"), idle), c(query("SELECT 1")), s(columns, tag("SELECT 0"), idle)},
			[]string{"COPY t FROM STDIN status_code=57014", "SELECT ? returned_rows=0"}, nil},
		"copy in, refused": {[]step{c(query("COPY t FROM STDIN")), s(copiesFrom), c(data), s(failure("22P04"), idle), c(data, copied), c(query("SELECT 1")), s(columns, tag("SELECT 0"), idle)},
			[]string{"COPY t FROM STDIN status_code=22P04", "SELECT ? returned_rows=0"}, nil},
		"copy in, extended, refused": {[]step{c(parse("", "COPY t FROM STDIN"), bind("", ""), execute("", 0), sync), s(parseDone, bindDone, copiesFrom), c(data), s(failure("22P04")), c(sync), s(idle), c(query("SELECT 1")), s(columns, tag("SELECT 0"), idle)},
			[]string{"COPY t FROM STDIN status_code=22P04", "SELECT ? returned_rows=0"}, nil},
		"replication": {[]step{c(query("IDENTIFY_SYSTEM")), s(columns, row, tag("IDENTIFY_SYSTEM"), idle), c(query("START_REPLICATION SLOT s LOGICAL 0/0")), s(copiesBy), s(data, data), c(data), s(data), c(copied), s(copied, tag("COPY 0"), tag("START_REPLICATION"), idle)},
			[]string{"IDENTIFY_SYSTEM", "START_REPLICATION SLOT s LOGICAL ?/?"}, nil},
		"base backup": {[]step{c(query("BASE_BACKUP ( LABEL 'x' )")), s(columns, row, tag("SELECT"), columns, row, tag("SELECT"), copiesTo, data, copied, columns, row, tag("SELECT"), tag("BASE_BACKUP"), idle)},
			[]string{"BASE_BACKUP ( LABEL ? )"}, nil},
		"function call": {[]step{c(msg('F', number(952), short(0), short(0), short(0))), s(msg('V', number(4), number(1)), idle)}, []string{"(FUNCTION CALL)"}, nil},
		"procedure":     {[]step{c(query("CALL p(1)")), s(tag("CALL"), idle)}, []string{"CALL p(?) stored_procedure.name=p"}, nil},

		"ended while idle":     {[]step{s(fatal("57P01"))}, nil, nil},
		"ended while it waits": {[]step{c(query("SELECT pg_sleep(9)")), s(fatal("57P01"))}, []string{"SELECT pg_sleep(?) status_code=57P01"}, nil},
		"no answer":            {[]step{c(query("SELECT 1")), c(parse("", get), bind("", ""), execute("", 0))}, []string{"SELECT ? error=connection_closed unanswered", get + " error=connection_closed unanswered"}, nil},
		"half an answer":       {[]step{c(query("SELECT 1 FROM t")), s(columns, row)}, []string{"SELECT ? FROM t error=connection_closed"}, nil},
		"terminates":           {[]step{c(msg('X'))}, nil, nil},
		"escapes are off":      {[]step{s(msg('S', "standard_conforming_strings\x00off\x00")), c(query(`SELECT 'a\'` + secret + `', b`)), s(columns, tag("SELECT 0"), idle)}, []string{"SELECT ?, b returned_rows=0"}, nil},
		"escapes are on":       {[]step{c(query(`SELECT 'a\', b`)), s(columns, tag("SELECT 0"), idle)}, []string{"SELECT ?, b returned_rows=0"}, nil},
		"long":                 {[]step{c(query("SELECT '" + strings.Repeat(secret, 2000) + "'")), s(columns, tag("SELECT 0"), idle)}, []string{"SELECT ? ... capture=1 returned_rows=0"}, nil},
		"answers without statements": {[]step{c(query("SELECT 1")), s(columns, tag("SELECT 0"), tag("SELECT 0"), idle), c(query("SELECT 2 FROM t")), s(columns, tag("SELECT 0"), idle)},
			[]string{"SELECT ? returned_rows=0", "SELECT ? FROM t returned_rows=0"}, []protocol.ParseError{protocol.Unpaired}},
		"statements without answers": {[]step{c(query("SELECT 1; SELECT 2")), s(columns, tag("SELECT 0"), idle)}, []string{"SELECT ? operation.batch.size=2 returned_rows=0"}, nil},
		"malformed":                  {[]step{c(query("SELECT 1")), s(columns, tag("SELECT 0"), idle), c("\x00\x00\x00\x00\x00\x00")}, []string{"SELECT ? returned_rows=0"}, []protocol.ParseError{protocol.Malformed}},
	} {
		t.Run(name, func(t *testing.T) {
			check(t, append(append([]step(nil), login...), x.steps...), protocol.Session{}, x.want, x.errors...)
		})
	}
}

func TestConnectionsBegin(t *testing.T) {
	for name, x := range map[string]struct {
		steps []step
		want  []string
	}{
		"logged in":        {login, nil},
		"password refused": {[]step{c(startup("user", "u")), s(msg('R', number(3))), c(msg('p', secret, "\x00")), s(fatal("28P01"))}, []string{"(postgresql) db=u status_code=28P01"}},
		"too many clients": {[]step{c(startup("user", "u", "database", "db")), s(fatal("53300"))}, []string{"(postgresql) status_code=53300"}},
		"no answer":        {[]step{c(startup("user", "u", "database", "db"))}, []string{"(postgresql) error=connection_closed unanswered"}},
		"cancel":           {[]step{c(number(16), number(cancelRequest), number(1), number(2))}, []string{"(CANCEL) db=unknown unanswered"}},
		"replication": {[]step{c(startup("user", "u", "replication", "database", "database", "db")), s(welcome), c(query("IDENTIFY_SYSTEM")), s(columns, row, tag("IDENTIFY_SYSTEM"), idle)},
			[]string{"IDENTIFY_SYSTEM"}},
		"newer version": {[]step{c(startup("user", "u", "database", "db", "_pq_.x", "1")), s(msg('v', number(0), number(1), "_pq_.x\x00"), welcome), c(query("SELECT 1")), s(columns, tag("SELECT 0"), idle)}, []string{"SELECT ? returned_rows=0"}},
	} {
		t.Run(name, func(t *testing.T) { check(t, x.steps, protocol.Session{}, x.want) })
	}
}

func TestExchangesHaveTheAttributesOfTheirStatements(t *testing.T) {
	_, r := play(append(login[:len(login):len(login)], c(query("SELECT * FROM s.t")), s(columns, row, tag("SELECT 1"), idle)), protocol.Session{}, 0)
	x := r.Exchanges[0]
	want := map[string]any{
		"db.system.name": "postgresql", "db.namespace": "db", "db.operation.name": "SELECT", "db.collection.name": "s.t",
		"db.query.summary": "SELECT s.t", "db.query.text": "SELECT * FROM s.t", "db.response.returned_rows": int64(1),
	}
	for k, v := range want {
		if x.Attributes[k] != v {
			t.Errorf("%s is %v, want %v", k, x.Attributes[k], v)
		}
	}
	if len(x.Attributes) != len(want) || x.Name != "SELECT s.t" || x.Protocol != "postgresql" || x.Kind != protocol.Call {
		t.Errorf("%+v", x)
	}
	if x.Start.Time >= x.ResponseStart.Time || x.ResponseStart.Time > x.End.Time || x.RequestEnd.Position-x.Start.Position != uint64(len(query("SELECT * FROM s.t"))-1) {
		t.Errorf("%+v", x.Exchange)
	}
}

func TestStatementsOfAQueryBeginWhereTheyStand(t *testing.T) {
	_, r := play(append(login[:len(login):len(login)], c(query("SELECT 1;SELECT 2")), s(tag("SELECT 0"), tag("SELECT 0"), idle)), protocol.Session{}, 0)
	if a, b := r.Exchanges[0].Start.Position, r.Exchanges[1].Start.Position; b-a != uint64(header+len("SELECT 1;")) {
		t.Errorf("from %d and %d on", a, b)
	}
}

func TestRawTextIsEmittedOnlyIfConfigured(t *testing.T) {
	for raw, want := range map[bool]string{false: "SELECT ?", true: "SELECT 5"} {
		parser, r := protocoltest.New(Protocol(), protocol.Session{}, limits, func(config any) { config.(*sqltext.Config).RawQueryText = raw })
		p := &protocoltest.Player{Parser: parser}
		for _, x := range append(login[:len(login):len(login)], c(query("SELECT 5")), s(tag("SELECT 0"), idle)) {
			p.Data(x.Direction, x.Bytes)
		}
		if got := r.Exchanges[0].Attributes["db.query.text"]; got != want {
			t.Errorf("raw %t: %q", raw, got)
		}
	}
}

func TestStatementsAndPortalsAreBounded(t *testing.T) {
	parser, r := protocoltest.New(Protocol(), protocol.Session{}, limits, nil)
	p := &protocoltest.Player{Parser: parser}
	name := func(i int) string {
		return "s" + string(rune('a'+i%26)) + string(rune('a'+i/26%26)) + string(rune('a'+i/676))
	}
	send := func(name string) {
		p.Data(protocol.FromClient, bind("", name)+execute("", 0)+sync)
		p.Data(protocol.FromServer, bindDone+tag("SELECT 0")+idle)
	}
	for _, x := range login {
		p.Data(x.Direction, x.Bytes)
	}
	for i := range maxPrepared {
		p.Data(protocol.FromClient, parse(name(i), "SELECT a FROM t"+name(i))+sync)
		p.Data(protocol.FromServer, parseDone+idle)
	}
	held := parser.Held()
	send(name(0))
	for i := range 10 {
		p.Data(protocol.FromClient, parse(name(maxPrepared+i), "SELECT a FROM t"+name(maxPrepared+i))+sync)
		p.Data(protocol.FromServer, parseDone+idle)
	}
	send(name(0))
	send(name(1))
	send(name(maxPrepared + 1))
	want := "SELECT a FROM t" + name(0) + " returned_rows=0\nSELECT a FROM t" + name(0) + " returned_rows=0\n(SELECT) capture=1 returned_rows=0\n" +
		"SELECT a FROM t" + name(maxPrepared+1) + " returned_rows=0"
	if got := briefs(r); got != want {
		t.Errorf("%s\nwant:\n%s", got, want)
	}
	if r.Errors[protocol.TooMany] != 10 || parser.Held() > held+1000 {
		t.Errorf("%v, %d bytes are held, before %d", r.Errors, parser.Held(), held)
	}
	p.Close(0)
	ended(t, p, r)
}

func TestOperationsOfAPipelineAreBounded(t *testing.T) {
	parser, r := protocoltest.New(Protocol(), protocol.Session{Joined: false}, limits, nil)
	p := &protocoltest.Player{Parser: parser}
	for _, x := range login {
		p.Data(x.Direction, x.Bytes)
	}
	most := perExchange * limits.Outstanding
	turn := parse("", "SELECT 1") + bind("", "") + execute("", 0)
	for range 3 * most {
		p.Data(protocol.FromClient, turn)
	}
	if r.Errors[protocol.TooMany] != 1 || parser.Held() > (most+1)*operationSize+4096 {
		t.Errorf("%v, %d bytes are held", r.Errors, parser.Held())
	}
	p.Data(protocol.FromClient, sync)
	p.Data(protocol.FromServer, strings.Repeat(parseDone+bindDone+tag("SELECT 0"), 3*most)+idle)
	p.Data(protocol.FromClient, query("SELECT a FROM b"))
	p.Data(protocol.FromServer, columns+tag("SELECT 0")+idle)
	if last := r.Exchanges[len(r.Exchanges)-1]; brief(&last) != "SELECT a FROM b returned_rows=0" {
		t.Errorf("%s", brief(&last))
	}
	p.Close(0)
	ended(t, p, r)
}

// TestRowsAreNotWanted: the kernel need not copy rows, and data of COPY in either direction.
func TestRowsAreNotWanted(t *testing.T) {
	p, _ := play(login, protocol.Session{}, 0)
	for d := range protocol.Directions {
		if demand := p.Parser.Demand(d); demand != (protocol.Demand{}) {
			t.Errorf("direction %d: %+v without rows", d, demand)
		}
	}
	large := strings.Repeat("x", 4*largeRow)
	p.Data(protocol.FromClient, query("COPY t FROM STDIN; SELECT 1")+msg('d', large)+msg('d', large)+copied)
	p.Data(protocol.FromServer, copiesFrom+tag("COPY 2")+columns+msg('D', large)+msg('D', large))
	for d := range protocol.Directions {
		demand := p.Parser.Demand(d)
		if demand.Frames == nil || demand.NextFrame != 0 || demand.Frames.Unwanted>>(dataRow&31)&1 == 0 || demand.Frames.Unwanted>>(copyData&31)&1 == 0 {
			t.Errorf("direction %d: %+v", d, demand)
		}
		for kind := range requestShapes {
			if shapes := [...]*[256]shape{&requestShapes, &replyShapes}[d]; shapes[kind].want != 0 && demand.Frames.Unwanted>>(kind&31)&1 != 0 && kind != describeMessage {
				t.Errorf("direction %d: %q is wanted", d, rune(kind))
			}
		}
	}
	p.Data(protocol.FromServer, "D\x00\x00\x10\x00abc")
	if demand := p.Parser.Demand(protocol.FromServer); demand.Skip != 0x1000-4-3 || demand.NextFrame != demand.Skip {
		t.Errorf("within a row: %+v", demand)
	}
	p.Data(protocol.FromServer, strings.Repeat("x", 0x1000-4-3)+strings.Repeat(row, 50))
	if demand := p.Parser.Demand(protocol.FromServer); demand.Frames != nil {
		t.Errorf("behind small rows: %+v", demand)
	}
	p.Data(protocol.FromClient, "d\x00")
	if demand := p.Parser.Demand(protocol.FromClient); demand.NextFrame != protocol.UnknownFrame {
		t.Errorf("within a header: %+v", demand)
	}
}
