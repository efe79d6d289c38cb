package sqltext_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/socketflow/socketflow/internal/sqltext"
)

// reads are statements, and what is emitted of them. An empty text is the statement itself.
var reads = map[string]struct {
	dialect                              sqltext.Dialect
	sql, text                            string
	operation, summary, collection, call string
}{
	"select":      {sql: "SELECT * FROM songs WHERE id = 3", text: "SELECT * FROM songs WHERE id = ?", operation: "SELECT", summary: "SELECT songs", collection: "songs"},
	"blanks":      {sql: "  select\n\t a , b\r\n from  t ", text: "select a , b from t", operation: "SELECT", summary: "SELECT t", collection: "t"},
	"schema":      {sql: `SELECT "a".b FROM public . "My Table" t`, text: `SELECT "a".b FROM public . "My Table" t`, operation: "SELECT", summary: `SELECT public."My Table"`, collection: `public."My Table"`},
	"quoted":      {sql: `SELECT 1 FROM "public"."Users"`, text: `SELECT ? FROM "public"."Users"`, operation: "SELECT", summary: "SELECT public.Users", collection: "public.Users"},
	"join":        {sql: "SELECT a.x FROM a JOIN b ON a.i=b.i, c LEFT JOIN d USING (i) WHERE a.x IN (SELECT x FROM e)", operation: "SELECT", summary: "SELECT a b c d SELECT e"},
	"insert":      {sql: "INSERT INTO t (a, b) VALUES (1, 'x'), (2, NULL), (3, 'z'), (4, 'w')", text: "INSERT INTO t (a, b) VALUES (?), (?, NULL), (?)", operation: "INSERT", summary: "INSERT t", collection: "t"},
	"upsert":      {sql: "INSERT INTO t VALUES ($1,$2) ON CONFLICT (a) DO UPDATE SET b = excluded.b RETURNING a", operation: "INSERT", summary: "INSERT t", collection: "t"},
	"insert from": {sql: "INSERT INTO shipping SELECT order_id FROM orders WHERE x=1.5e-3", text: "INSERT INTO shipping SELECT order_id FROM orders WHERE x=?", operation: "INSERT", summary: "INSERT shipping SELECT orders"},
	"update":      {sql: "UPDATE ONLY t SET a = a - 1, b = -1 FROM u WHERE t.i = u.i", text: "UPDATE ONLY t SET a = a - ?, b = ? FROM u WHERE t.i = u.i", operation: "UPDATE", summary: "UPDATE t u"},
	"delete":      {sql: "DELETE FROM t USING u WHERE t.i = u.i AND NOT b = TRUE", text: "DELETE FROM t USING u WHERE t.i = u.i AND NOT b = ?", operation: "DELETE", summary: "DELETE t u"},
	"merge":       {sql: "MERGE INTO t USING s ON t.i=s.i WHEN MATCHED THEN UPDATE SET a=1 WHEN NOT MATCHED THEN INSERT (i) VALUES (1)", text: "MERGE INTO t USING s ON t.i=s.i WHEN MATCHED THEN UPDATE SET a=? WHEN NOT MATCHED THEN INSERT (i) VALUES (?)", operation: "MERGE", summary: "MERGE t s"},
	"with":        {sql: "WITH x AS (SELECT * FROM a), y (i) AS MATERIALIZED (DELETE FROM b RETURNING i) INSERT INTO c SELECT * FROM x, y", operation: "INSERT", summary: "SELECT a DELETE b INSERT c SELECT"},
	"recursive":   {sql: "WITH RECURSIVE t(n) AS (VALUES (1) UNION ALL SELECT n+1 FROM t WHERE n < 100) SELECT sum(n) FROM t", text: "WITH RECURSIVE t(n) AS (VALUES (?) UNION ALL SELECT n+? FROM t WHERE n < ?) SELECT sum(n) FROM t", operation: "SELECT", summary: "SELECT SELECT"},
	"functions":   {sql: "SELECT extract(epoch FROM ts), substring(a FROM 2), trim(both 'x' FROM b), a IS DISTINCT FROM b FROM generate_series(1, 9) g, t", text: "SELECT extract(epoch FROM ts), substring(a FROM ?), trim(both ? FROM b), a IS DISTINCT FROM b FROM generate_series(?) g, t", operation: "SELECT", summary: "SELECT t", collection: "t"},
	"parentheses": {sql: "(SELECT a FROM t) UNION (SELECT b FROM u) ORDER BY 1", text: "(SELECT a FROM t) UNION (SELECT b FROM u) ORDER BY ?", operation: "SELECT", summary: "SELECT t SELECT u"},
	"lock":        {sql: "SELECT * FROM a FOR UPDATE OF a", operation: "SELECT", summary: "SELECT a", collection: "a"},
	"copy":        {sql: "COPY t (a, b) FROM STDIN WITH (FORMAT csv)", operation: "COPY", summary: "COPY t", collection: "t"},
	"copy query":  {sql: "COPY (SELECT * FROM t) TO STDOUT", operation: "COPY", summary: "COPY SELECT t", collection: "t"},
	"create":      {sql: "CREATE TEMP TABLE IF NOT EXISTS t AS SELECT * FROM u", operation: "CREATE", summary: "CREATE TABLE t SELECT u"},
	"index":       {sql: "CREATE UNIQUE INDEX CONCURRENTLY i ON s.t USING btree (a)", operation: "CREATE", summary: "CREATE INDEX s.t", collection: "s.t"},
	"drop":        {sql: "DROP TABLE IF EXISTS a, b CASCADE", operation: "DROP", summary: "DROP TABLE a b"},
	"alter":       {sql: "ALTER TABLE ONLY t ADD COLUMN c int DEFAULT 5", text: "ALTER TABLE ONLY t ADD COLUMN c int DEFAULT ?", operation: "ALTER", summary: "ALTER TABLE t", collection: "t"},
	"role":        {sql: "CREATE ROLE alice PASSWORD 'x'", text: "CREATE ROLE alice PASSWORD ?", operation: "CREATE", summary: "CREATE ROLE"},
	"truncate":    {sql: "TRUNCATE TABLE a, ONLY b", operation: "TRUNCATE", summary: "TRUNCATE a b"},
	"call":        {sql: "CALL s.p(1, 'x')", text: "CALL s.p(?)", operation: "CALL", summary: "CALL s.p", call: "s.p"},
	"explain":     {sql: "EXPLAIN (ANALYZE, BUFFERS) UPDATE t SET a=1", text: "EXPLAIN (ANALYZE, BUFFERS) UPDATE t SET a=?", operation: "EXPLAIN", summary: "EXPLAIN UPDATE t", collection: "t"},
	"begin":       {sql: "BEGIN ISOLATION LEVEL SERIALIZABLE", operation: "BEGIN", summary: "BEGIN"},
	"grant":       {sql: "GRANT SELECT, INSERT ON t TO u", operation: "GRANT", summary: "GRANT"},
	"set":         {sql: "SET LOCAL app.key = abc, def", text: "SET LOCAL app.key = ?", operation: "SET", summary: "SET"},
	"set to":      {sql: "set search_path TO a, b", text: "set search_path TO ?", operation: "SET", summary: "SET"},
	"empty":       {sql: " -- ping"},
	"no command":  {sql: "frobnicate t FROM x"},
	"trigger":     {sql: "CREATE TRIGGER g BEFORE INSERT ON t EXECUTE FUNCTION f()", operation: "CREATE", summary: "CREATE TRIGGER"},
	"replication": {sql: `START_REPLICATION SLOT "s" LOGICAL 0/0 (proto_version '1')`, text: `START_REPLICATION SLOT "s" LOGICAL ?/? (proto_version ?)`, operation: "START_REPLICATION", summary: "START_REPLICATION"},

	// What go-sqllexer emits some or all of: see docs/decisions.
	"dollar quotes":         {sql: "SELECT $$a 'b' $x$ c$$, $f$ $$ $f$, $é$s$é$, $1", text: "SELECT ?, ?, ?, $1", operation: "SELECT", summary: "SELECT"},
	"dollar in a name":      {sql: "SELECT a$b, a$e'x'", text: "SELECT a$b, a$e?", operation: "SELECT", summary: "SELECT"},
	"nested comments":       {sql: "SELECT 1 /* a /* b */ c 'd' */ + 2 -- e 'f'\n, x", text: "SELECT ? + ? , x", operation: "SELECT", summary: "SELECT"},
	"comment without end":   {sql: "SELECT 1 /* a /* b */ c 'd'", text: "SELECT ?", operation: "SELECT", summary: "SELECT"},
	"escapes":               {sql: `SELECT E'a\'b', e'\\', 'it''s', U&'d\0061' UESCAPE '!', x'1F', B'01', N'n'`, text: "SELECT ?, ?, ?, ? UESCAPE ?, ?, ?, ?", operation: "SELECT", summary: "SELECT"},
	"arrays":                {sql: "SELECT ARRAY[1, 2, 3], '{1,2}'::int[], a[1:2], ARRAY[[1,2],[3,4]]", text: "SELECT ARRAY[?], ?::int[], a[?:?], ARRAY[[?],[?]]", operation: "SELECT", summary: "SELECT"},
	"lists":                 {sql: "SELECT 1 FROM t WHERE a IN (1, -2, 'x') AND b IN ($1, $2) AND c IN (1, d, 2)", text: "SELECT ? FROM t WHERE a IN (?) AND b IN ($1, $2) AND c IN (?, d, ?)", operation: "SELECT", summary: "SELECT t", collection: "t"},
	"numbers":               {sql: "SELECT 0x1F, 0b101, 0o17, 1_000_000, .5, 5., 1e5, 1E-5, 12abc, 1.5e+3x", text: "SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, ?", operation: "SELECT", summary: "SELECT"},
	"JSON":                  {sql: `SELECT a->'k'->>-1, b @> '{"x":1}', c ? 'y', d #>> '{a,b}' FROM t`, text: `SELECT a->?->>?, b @> ?, c ? ?, d #>> ? FROM t`, operation: "SELECT", summary: "SELECT t", collection: "t"},
	"string without end":    {sql: "SELECT 1 FROM t WHERE a = 'it's secret", text: "SELECT ? FROM t WHERE a = ? ...", operation: "SELECT", summary: "SELECT t", collection: "t"},
	"odd quotation marks":   {sql: "SELECT 1 FROM t WHERE a = 'it' s secret'", text: "SELECT ? FROM t WHERE a = ...", operation: "SELECT", summary: "SELECT t", collection: "t"},
	"name without end":      {sql: `SELECT "abc FROM t WHERE a = 'secret'`, text: "SELECT ...", operation: "SELECT", summary: "SELECT"},
	"dollars without end":   {sql: "DO $x$ secret $y$", text: "DO ...", operation: "DO", summary: "DO"},
	"backslash, ambiguous":  {sql: `SELECT 'a\' OR secret = ' FROM t`, text: "SELECT ? ...", operation: "SELECT", summary: "SELECT"},
	"backslash, at the end": {sql: `SELECT 1 FROM t WHERE a LIKE '%x' ESCAPE '\');`, text: `SELECT ? FROM t WHERE a LIKE ? ESCAPE ?);`, operation: "SELECT", summary: "SELECT t", collection: "t"},
	"two backslashes":       {sql: `SELECT 'a\\', b`, text: "SELECT ?, b", operation: "SELECT", summary: "SELECT"},
	"invalid UTF-8":         {sql: "SELECT a\xff, '\xff' FROM t", text: "SELECT a\uFFFD, ? FROM t", operation: "SELECT", summary: "SELECT t", collection: "t"},

	"MySQL":                     {dialect: sqltext.MySQL, sql: "SELECT `a b`, \"s\", 'x', _utf8mb4'y', 0x1F FROM `db`.`t` LIMIT 1, 2 # c", text: "SELECT `a b`, ?, ?, ?, ? FROM `db`.`t` LIMIT ?, ?", operation: "SELECT", summary: "SELECT db.t", collection: "db.t"},
	"MySQL comments":            {dialect: sqltext.MySQL, sql: "/* a /* b */ SELECT 1 --x\n, /*!50000 'y', */ 2 -- z\n", text: "SELECT ? --x , ?, ?", operation: "SELECT", summary: "SELECT"},
	"MySQL escapes":             {dialect: sqltext.MySQL, sql: `INSERT INTO t VALUES ('a\'b', "c", 1)`, text: "INSERT INTO t VALUES (? ...", operation: "INSERT", summary: "INSERT t", collection: "t"},
	"MySQL parameters":          {dialect: sqltext.MySQL, sql: "REPLACE INTO t VALUES (?, ?), (?, ?)", text: "REPLACE INTO t VALUES (?)", operation: "REPLACE", summary: "REPLACE t", collection: "t"},
	"MySQL names":               {dialect: sqltext.MySQL, sql: "UPDATE `a``b`, $c SET d = 1", text: "UPDATE `a``b`, $c SET d = ?", operation: "UPDATE", summary: "UPDATE `a``b` $c"},
	"MySQL blob":                {dialect: sqltext.MySQL, sql: "INSERT INTO t VALUES (_binary'\xff\\'a', b)", text: "INSERT INTO t VALUES (? ...", operation: "INSERT", summary: "INSERT t", collection: "t"},
	"MySQL show":                {dialect: sqltext.MySQL, sql: "SHOW TABLES LIKE 'x%'", text: "SHOW TABLES LIKE ?", operation: "SHOW", summary: "SHOW"},
	"MySQL insert":              {dialect: sqltext.MySQL, sql: "INSERT IGNORE t SET a = 1, b = VALUES(a)", text: "INSERT IGNORE t SET a = ?, b = VALUES(a)", operation: "INSERT", summary: "INSERT t", collection: "t"},
	"MySQL, words of a comment": {dialect: sqltext.MySQL, sql: "select /*!99999 x /* a */ secret `secret` */ y, /*!50000 z */ 1", text: "select ? ? ? y, z ?", operation: "SELECT", summary: "SELECT"},
	"MySQL, executed or not":    {dialect: sqltext.MySQL, sql: "SELECT /*!99999 '*/ 'secret' */ x", text: "SELECT ? ...", operation: "SELECT", summary: "SELECT"},
}

func TestStatementsAreRead(t *testing.T) {
	for name, x := range reads {
		t.Run(name, func(t *testing.T) {
			want := x.text
			if want == "" && x.operation != "" {
				want = x.sql
			}
			if name == "no command" {
				want = x.sql
			}
			s := sqltext.NewReader(x.dialect, sqltext.DefaultConfig()).Read([]byte(x.sql), false)
			if string(s.Text) != want || string(s.Operation) != x.operation || s.Summary != x.summary || string(s.Collection) != x.collection || string(s.Procedure) != x.call {
				t.Errorf("%s\ntext %q\nwant %q\noperation %q, summary %q, collection %q, procedure %q; want %q, %q, %q, %q",
					x.sql, s.Text, want, s.Operation, s.Summary, s.Collection, s.Procedure, x.operation, x.summary, x.collection, x.call)
			}
		})
	}
}

// literals are forms in which a literal can have a text, by dialect.
var literals = [...][]string{
	sqltext.PostgreSQL: {
		"'%'", "E'%'", `E'a\'%'`, `'a''%'`, "$$%$$", "$x$ $$ % $x$", "$é$%$é$", "B'%'", "x'%'", "N'%'", "U&'%'", "'%\\'", "ARRAY['a', '%']", "('%', 1)", "1%", "0x%",
		"/* % */ 1", "/* /* */ '%' */ 1", "-- '%'\n 1", "'a'\n'%'", "'\xe8\xa1%'", "E'\x83\\\\' || '%'",
	},
	sqltext.MySQL: {
		"'%'", `'a\'%'`, `"%"`, `"a""%"`, `"a'%"`, "_latin1'%'", "x'%'", "1%", "0b%", "/* % */ 1", "# '%\n 1", "-- %\n 1", "/*! '%' */", "'\x83\\' , '%'", `"\", '%'`,
	},
}

const marker = "SECRET7"

// TestNothingOfALiteralIsEmitted cuts each statement at each byte, under each quoting that is right for it.
func TestNothingOfALiteralIsEmitted(t *testing.T) {
	for d, forms := range literals {
		dialect := sqltext.Dialect(d)
		reader := sqltext.NewReader(dialect, sqltext.DefaultConfig())
		raw := sqltext.NewReader(dialect, sqltext.Config{RawQueryText: true, QueryTextLength: 64})
		for _, form := range forms {
			for _, frame := range []string{
				"SELECT a FROM t WHERE b = % AND c = 1", "INSERT INTO t VALUES (%, %)", "SELECT %", "SET a = %", "UPDATE t SET password = % FROM u",
			} {
				sql := strings.ReplaceAll(frame, "%", strings.ReplaceAll(form, "%", marker+marker))
				quotings := []sqltext.Quoting{sqltext.Unknown}
				switch {
				case dialect == sqltext.PostgreSQL && !strings.Contains(form, `%\`):
					quotings = append(quotings, sqltext.Plain)
				case dialect == sqltext.MySQL:
					quotings = append(quotings, sqltext.Escaping)
				}
				for _, q := range quotings {
					for n := range len(sql) + 1 {
						for _, cut := range []bool{true, n < len(sql)} {
							leaks(t, reader.ReadAs(q, []byte(sql[:n]), cut), sql[:n])
							if strings.Contains(frame, "password") {
								if strings.Contains(sql[:n], "password =") {
									leaks(t, raw.ReadAs(q, []byte(sql[:n]), cut), sql[:n])
								}
							}
						}
					}
				}
			}
		}
	}
}

// leaks reports a part of the marker.
func leaks(t *testing.T, s *sqltext.Statement, sql string) {
	t.Helper()
	for n := 2; n <= len(marker); n++ {
		for _, emitted := range []string{string(s.Text), s.Summary, string(s.Collection), string(s.Procedure), string(s.Operation)} {
			if part := marker[:n]; strings.Contains(emitted, part) && part != "SE" { // SELECT and SET have it, too
				t.Fatalf("%q: %q has %q", sql, emitted, marker[:n])
			}
		}
	}
}

func TestTextIsBoundedAndRawOnlyIfConfigured(t *testing.T) {
	const limit = 64
	long := "SELECT aaaaaaaaaa, bbbbbbbbbb, 'a literal of some length', 5 FROM tttttttttt WHERE x = 'another literal'"
	for name, x := range map[string]struct {
		raw       bool
		sql, want string
	}{
		"short":                {false, "SELECT 1", "SELECT ?"},
		"long":                 {false, long, "SELECT aaaaaaaaaa, bbbbbbbbbb, ?, ? FROM tttttttttt WHERE x ..."},
		"raw":                  {true, "SELECT 'x' /* c */", "SELECT 'x' /* c */"},
		"raw, long":            {true, long, "SELECT aaaaaaaaaa, bbbbbbbbbb, 'a literal of some length', 5 ..."},
		"raw, long literal":    {true, "SELECT '" + long, "SELECT ..."},
		"raw, with a password": {true, "ALTER USER u PASSWORD 'x'", "ALTER USER u PASSWORD ?"},
		"raw, with a key":      {true, "SELECT pgp_sym_encrypt('x', 'y')", "SELECT pgp_sym_encrypt(?)"},
		"raw, invalid":         {true, "SELECT '\xff'", "SELECT '\uFFFD'"},
		"a long name":          {false, "SELECT " + strings.Repeat("x", 99) + ", y", "SELECT ..."},
	} {
		s := sqltext.NewReader(sqltext.PostgreSQL, sqltext.Config{RawQueryText: x.raw, QueryTextLength: limit}).Read([]byte(x.sql), false)
		if string(s.Text) != x.want || len(s.Text) > limit+len("\uFFFD") {
			t.Errorf("%s: %q, want %q", name, s.Text, x.want)
		}
	}
}

func TestTextIsCertainUpToTheFirstQuotationMark(t *testing.T) {
	r := sqltext.NewReader(sqltext.PostgreSQL, sqltext.DefaultConfig())
	for sql, want := range map[string]string{
		"SELECT a FROM t WHERE b = 5":       "SELECT a FROM t WHERE b = ?",
		"SELECT a FROM t WHERE b = 'x '":    "SELECT a FROM t WHERE b =",
		"SELECT 5, 'a ' secret ' b'":        "SELECT ?,",
		`SELECT 5, "a ' secret ' b", 'c'`:   "SELECT ?,",
		"SELECT 5 FROM t WHERE a = 'x":      "SELECT ? FROM t WHERE a = ...",
		"SELECT 5 FROM t WHERE a = b ' c '": "SELECT ? FROM t WHERE a = b",
	} {
		if s := r.Read([]byte(sql), false); string(s.Text[:s.Certain]) != want {
			t.Errorf("%s: %q, want %q", sql, s.Text[:s.Certain], want)
		}
	}
}

func TestSummaryIsBoundedAtANameAndStaysValid(t *testing.T) {
	names := make([]string, 60)
	for i := range names {
		names[i] = "table_" + strings.Repeat("é", i%7)
	}
	s := sqltext.NewReader(sqltext.PostgreSQL, sqltext.DefaultConfig()).Read([]byte("SELECT 1 FROM "+strings.Join(names, ", ")), false)
	if len(s.Summary) > 255 || len(s.Summary) < 200 || !utf8.ValidString(s.Summary) || len(s.Collection) > 0 {
		t.Errorf("%d bytes: %q, collection %q", len(s.Summary), s.Summary, s.Collection)
	}
	for _, word := range strings.Fields(s.Summary)[1:] {
		if !strings.Contains(strings.Join(names, " ")+" ", word+" ") {
			t.Errorf("%q is no name", word)
		}
	}
}

func TestStatementsAreSplit(t *testing.T) {
	for name, x := range map[string]struct {
		dialect sqltext.Dialect
		sql     string
		want    []string // "-": an empty one
	}{
		"one":        {sql: "SELECT 1", want: []string{"SELECT 1"}},
		"ended":      {sql: "SELECT 1; ", want: []string{"SELECT 1", "-"}},
		"several":    {sql: "a ';' b; /* ; */ ; $$;$$", want: []string{"a ';' b", "-", " $$;$$"}},
		"empty":      {sql: "", want: []string{"-"}},
		"function":   {sql: "CREATE FUNCTION f() BEGIN ATOMIC SELECT 1; SELECT CASE x WHEN 1 THEN 2 END; END; SELECT 3", want: []string{"CREATE FUNCTION f() BEGIN ATOMIC SELECT 1; SELECT CASE x WHEN 1 THEN 2 END; END", " SELECT 3"}},
		"procedure":  {dialect: sqltext.MySQL, sql: "CREATE PROCEDURE p() BEGIN IF 1 THEN SELECT 1; END IF; END", want: []string{"CREATE PROCEDURE p() BEGIN IF 1 THEN SELECT 1; END IF; END"}},
		"begin":      {sql: "BEGIN; SELECT 1; END", want: []string{"BEGIN", " SELECT 1", " END"}},
		"in doubt":   {sql: `SELECT 'a\'; DROP'; x`, want: []string{`SELECT 'a\'; DROP'; x`}},
		"not closed": {sql: "SELECT 'a; b", want: []string{"SELECT 'a; b"}},
	} {
		var got []string
		for rest := []byte(x.sql); ; {
			first, others, empty := sqltext.Split(x.dialect, sqltext.Unknown, rest)
			if empty {
				first = []byte("-")
			}
			got = append(got, string(first))
			if rest = others; others == nil {
				break
			}
		}
		if strings.Join(got, "|") != strings.Join(x.want, "|") {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestSteadyStatementsNeedNoAllocation(t *testing.T) {
	r := sqltext.NewReader(sqltext.PostgreSQL, sqltext.DefaultConfig())
	same := []byte("SELECT a FROM t WHERE b = $1")
	other := []byte("SELECT a FROM t WHERE b = 1234567")
	n := byte(0)
	if allocations := testing.AllocsPerRun(1000, func() {
		r.Read(same, false)
		n++
		other[len(other)-1], other[len(other)-2] = '0'+n%10, '0'+n/10%10
		r.Read(other, false)
	}); allocations != 0 {
		t.Errorf("%v allocations", allocations)
	}
}

func TestStatementsThatDifferInLiteralsOnlyAreOne(t *testing.T) {
	r := sqltext.NewReader(sqltext.PostgreSQL, sqltext.DefaultConfig())
	a, b := r.Read([]byte("SELECT 'a' FROM t"), false), r.Read([]byte("SELECT 'b' FROM t"), false)
	if a != b || r.Read([]byte("SELECT 'b' FROM t"), true) == a {
		t.Error("they are several, or one that is cut is the same")
	}
	for i := range 20_000 { // more than are remembered
		r.Read([]byte("SELECT "+strings.Repeat("x", 1000)+strings.Repeat("y", i%50)+strings.Repeat("z", i/50)), false)
	}
	if r.Read([]byte("SELECT 'b' FROM t"), false) == a {
		t.Error("nothing was forgotten")
	}
	if string(a.Text) != "SELECT ? FROM t" {
		t.Errorf("%q", a.Text)
	}
}

func TestConfigBoundsTheLength(t *testing.T) {
	for length, ok := range map[int]bool{63: false, 64: true, 2048: true, 65536: true, 65537: false} {
		c := sqltext.Config{QueryTextLength: length}
		if err := c.Validate(); (err == nil) != ok {
			t.Errorf("%d: %v", length, err)
		}
	}
}

// FuzzRead reads arbitrary statements, and such with an arbitrary literal.
func FuzzRead(f *testing.F) {
	for _, x := range reads {
		f.Add(x.sql, uint8(x.dialect), uint8(0), 20)
	}
	f.Fuzz(func(t *testing.T, sql string, dialect, quoting uint8, at int) {
		d, q := sqltext.Dialect(dialect%2), sqltext.Quoting(quoting%3)
		r := sqltext.NewReader(d, sqltext.Config{QueryTextLength: 64})
		for _, cut := range []bool{false, true} {
			s := r.ReadAs(q, []byte(sql), cut)
			if len(s.Text) > 64*3 || !utf8.Valid(s.Text) || !utf8.ValidString(s.Summary) || len(s.Summary) > 255*3 {
				t.Errorf("%q: %q, %q", sql, s.Text, s.Summary)
			}
		}
		length := 0
		for rest := []byte(sql); rest != nil; {
			first, others, _ := sqltext.Split(d, q, rest)
			length += len(first) + 1
			rest = others
		}
		if length != len(sql)+1 {
			t.Errorf("%q: %d bytes in statements", sql, length-1)
		}
		if strings.Contains(sql, marker[:2]) {
			return
		}
		literal := "'" + strings.NewReplacer("'", "''", "\\", "", "\x00", "").Replace(sql) + marker + "'"
		whole := "SELECT a FROM t WHERE b = " + literal + " AND c = " + literal
		leaks(t, sqltext.NewReader(d, sqltext.DefaultConfig()).ReadAs(q, []byte(whole[:min(max(at, 0), len(whole))]), true), whole)
		leaks(t, sqltext.NewReader(d, sqltext.DefaultConfig()).ReadAs(q, []byte(whole), false), whole)
	})
}

func BenchmarkRead(b *testing.B) {
	for name, sql := range map[string]string{
		"known": "SELECT abalance FROM pgbench_accounts WHERE aid = $1",
		"new":   "UPDATE pgbench_accounts SET abalance = abalance + 12345 WHERE aid = 10000",
	} {
		b.Run(name, func(b *testing.B) {
			r := sqltext.NewReader(sqltext.PostgreSQL, sqltext.DefaultConfig())
			text := []byte(sql)
			i := 0
			for b.Loop() {
				if i++; name == "new" {
					text[len(text)-1], text[len(text)-2], text[len(text)-3] = '0'+byte(i%10), '0'+byte(i/10%10), '0'+byte(i/100%10)
					text[len(text)-4] = '0' + byte(i/1000%10)
				}
				r.Read(text, false)
			}
		})
	}
}
