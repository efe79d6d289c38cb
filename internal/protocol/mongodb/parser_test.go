package mongodb

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/protocoltest"
)

var (
	limits  = protocol.Limits{HeadBytes: 4096, Outstanding: 64}
	c, s    = protocoltest.FromClient, protocoltest.FromServer
	missing = protocoltest.Missing
)

const (
	client = protocol.FromClient
	server = protocol.FromServer
)

type scene = protocoltest.Step

func play(steps []scene, session protocol.Session, piece int, change func(any)) (*protocoltest.Player, *protocoltest.Recorder) {
	parser, r := protocoltest.New(Protocol(), session, limits, change)
	p := &protocoltest.Player{Parser: parser}
	p.Play(steps, piece)
	return p, r
}

func brief(x *protocoltest.Exchange) string {
	return protocoltest.Brief(x, "db.system.name", "db.operation.name", "db.collection.name", "db.query.summary")
}

func briefs(r *protocoltest.Recorder) string { return r.Lines(brief) }

// check plays the steps whole, byte by byte, and in odd pieces. Each time the exchanges have to be these.
func check(t *testing.T, steps []scene, session protocol.Session, want []string, errors ...protocol.ParseError) {
	t.Helper()
	for _, piece := range []int{0, 1, 3, 7} {
		p, r := play(steps, session, piece, nil)
		p.Close(0)
		r.Check(t, fmt.Sprintf("in pieces of %d", piece), p.Parser, brief, want, errors, secret)
	}
}

const (
	found     = `find orders namespace=db query.text={"find": "orders", "filter": {"status": ?}, "limit": ?}`
	helloText = `hello namespace=admin query.text={"hello": ?, "client": {"driver": {"name": ?}}, "speculativeAuthenticate": ?}`
)

var hello = doc(i32("hello", 1), sub("client", sub("driver", str("name", "d"))), sub("speculativeAuthenticate", str("payload", secret)))

func TestCommandsAndTheirReplies(t *testing.T) {
	insertText := `query.text={"insert": "orders", "ordered": ?, "documents": [?]}`
	one, two := doc(str("a", secret)), doc(str(secret, "b"))
	update := doc(sub("q", i32("a", 1)), sub("u", sub("$set", str("b", secret))))
	for name, x := range map[string]struct {
		steps []scene
		want  []string
	}{
		"find":                  {[]scene{c(find(1)), s(cursor(1, "firstBatch", 3))}, []string{found + " returned_rows=3"}},
		"nothing found":         {[]scene{c(find(1)), s(cursor(1, "firstBatch", 0))}, []string{found + " returned_rows=0"}},
		"getMore":               {[]scene{c(ask(2, i64("getMore", 7), str("collection", "orders"), i32("batchSize", 2))), s(cursor(2, "nextBatch", 2))}, []string{`getMore orders namespace=db query.text={"getMore": ?, "collection": "orders", "batchSize": ?} returned_rows=2`}},
		"killCursors":           {[]scene{c(ask(2, str("killCursors", "orders"), element(typeArray, "cursors", doc(i64("0", 7))))), s(answer(2, good))}, []string{`killCursors orders namespace=db query.text={"killCursors": "orders", "cursors": [?]}`}},
		"error":                 {[]scene{c(find(1)), s(answer(1, num("ok", 0), str("errmsg", secret), i32("code", 59), str("codeName", "CommandNotFound")))}, []string{found + " status_code=59"}},
		"error without a code":  {[]scene{c(find(1)), s(answer(1, i32("ok", 0)))}, []string{found + " error=_OTHER"}},
		"insert, in the body":   {[]scene{c(ask(1, str("insert", "orders"), element(typeBool, "ordered", "\x01"), array("documents", one, two))), s(answer(1, i32("n", 2), good))}, []string{"insert orders namespace=db operation.batch.size=2 " + insertText}},
		"insert, in a sequence": {[]scene{c(message(opMsg, 1, 0, n32(0), body(doc(str("insert", "orders"), element(typeBool, "ordered", "\x01"), str("$db", "db"))), sequence("documents", one, two, one))), s(answer(1, i32("n", 3), good))}, []string{"insert orders namespace=db operation.batch.size=3 " + insertText}},
		"insert, the sequence first, with a checksum": {[]scene{c(message(opMsg, 1, 0, n32(flagChecksum), sequence("documents", one), body(doc(str("insert", "orders"), str("$db", "db"))), "sum!")), s(message(opMsg, 9, 1, n32(flagChecksum), body(doc(good)), "sum!"))},
			[]string{`insert orders namespace=db query.text={"documents": [?], "insert": "orders"}`}},
		"updates":                     {[]scene{c(message(opMsg, 1, 0, n32(0), body(doc(str("update", "orders"), str("$db", "db"))), sequence("updates", update, update))), s(answer(1, good))}, []string{`update orders namespace=db operation.batch.size=2 query.text={"update": "orders", "updates": [{"q": {"a": ?}, "u": {"$set": {"b": ?}}}]}`}},
		"write errors":                {[]scene{c(ask(1, str("insert", "orders"))), s(answer(1, i32("n", 0), array("writeErrors", doc(i32("index", 0), i32("code", 11000), str("errmsg", secret)), doc(i32("code", 121))), good))}, []string{`insert orders namespace=db query.text={"insert": "orders"} status_code=11000`}},
		"write concern not met":       {[]scene{c(ask(1, str("insert", "orders"))), s(answer(1, i32("n", 1), sub("writeConcernError", i32("code", 64)), good))}, []string{`insert orders namespace=db query.text={"insert": "orders"} status_code=64`}},
		"write without a reply":       {[]scene{c(message(opMsg, 1, 0, n32(flagMoreToCome), body(doc(str("insert", "orders"), str("$db", "db")))), find(2)), s(cursor(2, "firstBatch", 1))}, []string{`insert orders namespace=db query.text={"insert": "orders"} unanswered`, found + " returned_rows=1"}},
		"out of order":                {[]scene{c(find(1), ask(2, i32("ping", 1)), find(3)), s(cursor(3, "firstBatch", 3), answer(2, good), cursor(1, "firstBatch", 1))}, []string{found + " returned_rows=3", `ping namespace=db query.text={"ping": ?}`, found + " returned_rows=1"}},
		"aggregate":                   {[]scene{c(ask(1, str("aggregate", "orders"), array("pipeline", doc(sub("$match", str("a", secret))), doc(sub("$match", str("a", "b"))), doc(sub("$group", str("_id", "$a")))), sub("cursor"))), s(cursor(1, "firstBatch", 1))}, []string{`aggregate orders namespace=db query.text={"aggregate": "orders", "pipeline": [{"$match": {"a": ?}}, {"$group": {"_id": ?}}], "cursor": {}} returned_rows=1`}},
		"a list":                      {[]scene{c(ask(1, str("count", "orders"), sub("query", sub("a", list("$in", "x", "y", secret))))), s(answer(1, i32("n", 2), good))}, []string{`count orders namespace=db query.text={"count": "orders", "query": {"a": {"$in": [?]}}}`}},
		"session and transaction":     {[]scene{c(ask(1, i32("commitTransaction", 1), sub("lsid", binaryOf("id", "x")), i64("txnNumber", 3), element(typeBool, "autocommit", "\x00"))), s(answer(1, num("ok", 0), i32("code", 251)))}, []string{`commitTransaction namespace=db query.text={"commitTransaction": ?, "autocommit": ?} status_code=251`}},
		"explain":                     {[]scene{c(ask(1, sub("explain", str("find", "orders"), sub("filter", i32("a", 1))))), s(answer(1, good))}, []string{`explain orders namespace=db query.text={"explain": {"find": "orders", "filter": {"a": ?}}}`}},
		"not known":                   {[]scene{c(ask(1, str("frobnicate", "x"))), s(answer(1, num("ok", 0), i32("code", 59)))}, []string{`mongodb namespace=db query.text={"frobnicate": ?} status_code=59`}},
		"bulkWrite":                   {[]scene{c(message(opMsg, 1, 0, n32(0), body(doc(i32("bulkWrite", 1), str("$db", "admin"))), sequence("ops", doc(i32("insert", 0), sub("document", str(secret, "x"))), doc(i32("delete", 0), sub("filter", i32("a", 1)))), sequence("nsInfo", doc(str("ns", "shop.orders"))))), s(answer(1, sub("cursor", array("firstBatch", doc(num("ok", 1)), doc(num("ok", 0), i32("code", 11000)))), i32("nErrors", 1), good))}, []string{`bulkWrite orders namespace=shop operation.batch.size=2 query.text={"bulkWrite": ?, "ops": [{"insert": ?, "document": ?}, {"delete": ?, "filter": {"a": ?}}], "nsInfo": [{"ns": ?}]} status_code=11000`}},
		"bulkWrite of several":        {[]scene{c(message(opMsg, 1, 0, n32(0), body(doc(i32("bulkWrite", 1), str("$db", "admin"))), sequence("ops", doc(i32("delete", 0))), sequence("nsInfo", doc(str("ns", "shop.a")), doc(str("ns", "shop.b"))))), s(answer(1, good))}, []string{`bulkWrite query.text={"bulkWrite": ?, "ops": [{"delete": ?}], "nsInfo": [{"ns": ?}]}`}},
		"handshake":                   {[]scene{c(query(1, "admin.$cmd", hello)), s(early(1, 8, doc(num("ok", 1), i32("maxWireVersion", 21))))}, []string{helloText}},
		"handshake, wrapped":          {[]scene{c(query(1, "admin.$cmd", doc(element(typeDocument, "$query", hello), sub("$readPreference", str("mode", "x"))))), s(early(1, 8, doc(num("ok", 0), i32("code", 18))))}, []string{helloText + " status_code=18"}},
		"early opcodes":               {[]scene{c(query(1, "db.orders", doc(str("a", secret)))), s(early(1, 8, doc(i32("ok", 0)), doc())), c(message(opInsert, 2, 0, n32(0), "db.orders\x00", doc(str("a", secret))), message(opGetMore, 3, 0, n32(0), "db.orders\x00", n32(0), n64(7)), message(opKillCursors, 4, 0, n32(0), n32(1), n64(7))), s(early(3, 1))}, []string{`OP_QUERY orders namespace=db query.text={"a": ?} returned_rows=2`, `OP_INSERT orders namespace=db unanswered`, `OP_KILL_CURSORS unanswered`, `OP_GET_MORE orders namespace=db error=_OTHER`}},
		"early query that has failed": {[]scene{c(query(1, "db.orders", doc())), s(early(1, 2, doc(str("$err", secret), i32("code", 2))))}, []string{`OP_QUERY orders namespace=db query.text={} status_code=2`}},
		"cursor as a stream":          {[]scene{c(message(opMsg, 5, 0, n32(flagExhaust), body(doc(i64("getMore", 7), str("collection", "orders"), str("$db", "db"))))), s(message(opMsg, 20, 5, n32(flagMoreToCome), body(doc(sub("cursor", array("nextBatch", doc(), doc())), good)))), s(message(opMsg, 21, 20, n32(flagMoreToCome), body(doc(sub("cursor", array("nextBatch", doc())), good)))), s(message(opMsg, 22, 21, n32(0), body(doc(sub("cursor", array("nextBatch", doc())), good)))), c(find(6)), s(cursor(6, "firstBatch", 1))}, []string{`getMore orders namespace=db query.text={"getMore": ?, "collection": "orders"} returned_rows=4`, found + " returned_rows=1"}},
		"hello as a stream":           {[]scene{c(message(opMsg, 5, 0, n32(flagExhaust), body(doc(i32("hello", 1), str("$db", "admin"))))), s(message(opMsg, 20, 5, n32(flagMoreToCome), body(doc(good)))), s(message(opMsg, 21, 20, n32(flagMoreToCome), body(doc(good))))}, []string{`hello namespace=admin query.text={"hello": ?}`}},
		"no reply":                    {[]scene{c(find(1))}, []string{found + " error=connection_closed unanswered"}},
		"a value too long to keep":    {[]scene{c(ask(1, str("find", "orders"), sub("filter", str("status", strings.Repeat(secret, 200))), i32("limit", 5))), s(cursor(1, "firstBatch", 1))}, []string{found + " returned_rows=1"}},
	} {
		t.Run(name, func(t *testing.T) { check(t, x.steps, protocol.Session{}, x.want) })
	}
}

func TestSecretsStayHidden(t *testing.T) {
	commands := []string{
		ask(1, i32("saslStart", 1), str("mechanism", "PLAIN"), binaryOf("payload", secret)), ask(2, i32("saslContinue", 1), binaryOf("payload", secret)),
		ask(3, str("createUser", secret), str("pwd", secret), array("roles", doc(str("role", secret)))), ask(4, str("updateUser", secret), str("pwd", secret)),
		ask(5, i32("authenticate", 1), str("user", secret), str("key", secret)), ask(6, i32("copydb", 1), str("key", secret)), ask(7, str("frobnicate", secret)),
		ask(8, i32("hello", 1), sub("speculativeAuthenticate", i32("saslStart", 1), binaryOf("payload", secret))), ask(9, str("insert", "orders"), array("documents", doc(str("a", secret)))),
		message(opMsg, 10, 0, n32(0), sequence("documents", doc(str("a", secret))), sequence("ops", doc(sub("document", str("a", secret)))), body(doc(str("insert", "orders")))),
		ask(11, str("find", "orders"), sub("filter", str("password", secret), sub("a", str("token", secret)))),
	}
	for _, raw := range []bool{false, true} {
		p, r := play([]scene{c(commands...)}, protocol.Session{}, 0, func(c any) { c.(*Config).RawQueryText = raw })
		p.Close(0)
		if len(r.Exchanges) != len(commands) {
			t.Errorf("%d exchanges", len(r.Exchanges))
		}
		r.Ended(t, p.Parser, secret)
	}
}

func TestRawTextHasValues(t *testing.T) {
	command := ask(1, str("find", "orders"), sub("filter", str("a", "x\"\n"), i32("b", -1), i64("c", 1<<40), num("d", 0.5), element(typeBool, "e", "\x01"), element(typeNull, "f", ""),
		element(typeObjectID, "g", strings.Repeat("\x0a", 12)), element(typeDate, "h", n64(5)), element(typeRegex, "i", "^a\x00i\x00"), binaryOf("j", "x"), list("k", "x", "y", "y")))
	p, r := play([]scene{c(command)}, protocol.Session{}, 0, func(c any) { c.(*Config).RawQueryText = true })
	p.Close(0)
	const want = `{"find": "orders", "filter": {"a": "x\"\u000a", "b": -1, "c": 1099511627776, "d": 0.5, "e": true, "f": null, "g": {"$oid": "0a0a0a0a0a0a0a0a0a0a0a0a"}, "h": {"$date": 5}, "i": {"$regex": "^a/i"}, "j": ?, "k": ["x", "y"]}}`
	if got := r.Exchanges[0].Attributes["db.query.text"]; got != want {
		t.Errorf("%s\nwant:\n%s", got, want)
	}
}

func TestTextIsBoundedAndNeverCutWithinAName(t *testing.T) {
	var filter []string
	for i := range 200 {
		filter = append(filter, i32("name"+strings.Repeat("x", i%50), 1))
	}
	deep := doc(i32("a", 1))
	for range 200 {
		deep = doc(element(typeDocument, "a", deep))
	}
	for length := 64; length < 500; length++ {
		p, r := play([]scene{c(ask(1, str("find", "orders"), sub("filter", filter...)), ask(2, str("find", "orders"), element(typeDocument, "filter", deep)))}, protocol.Session{}, 0, func(c any) { c.(*Config).QueryTextLength = length })
		p.Close(0)
		for _, x := range r.Exchanges {
			text := x.Attributes["db.query.text"].(string)
			if len(text) > length || strings.Count(text, `"`)%2 != 0 {
				t.Fatalf("%d bytes: %s", len(text), text)
			}
		}
	}
}

func TestCompressedMessages(t *testing.T) {
	for compressor := byte(compressedNot); compressor <= compressedZstd; compressor++ {
		large := ask(2, str("find", "orders"), sub("filter", str("a", letters(120_000))), i32("limit", 5))
		check(t, []scene{c(packed(compressor, find(1))), s(packed(compressor, cursor(1, "firstBatch", 50)))}, protocol.Session{}, []string{found + " returned_rows=50"})
		if compressor != compressedNot {
			check(t, []scene{c(packed(compressor, large)), s(packed(compressor, cursor(2, "firstBatch", 1)))}, protocol.Session{}, []string{`find orders namespace=db query.text={"find": "orders", "filter": {"a": ?}, "limit": ?} returned_rows=1`})
		}
	}
	check(t, []scene{c(packed(9, find(1)), find(2)), s(cursor(2, "firstBatch", 1))}, protocol.Session{}, []string{found + " returned_rows=1"}, protocol.Undecodable)
	huge := ask(2, str("find", "orders"), sub("filter", str("a", letters(maxInflated))))
	for compressor := byte(compressedSnappy); compressor <= compressedZstd; compressor++ {
		check(t, []scene{c(packed(compressor, huge)), s(cursor(2, "firstBatch", 1))}, protocol.Session{}, []string{`find orders query.text={"find": "orders", "filter": {"a": ?}} returned_rows=1 capture=1`}, protocol.HeadTooLong)
	}
}

// letters is a text of few words, which compresses a few times.
func letters(n int) string {
	source, b := rand.New(rand.NewPCG(1, 2)), strings.Builder{}
	for b.Len() < n {
		fmt.Fprintf(&b, "a word with number %d, ", source.IntN(30))
	}
	return b.String()[:n]
}

// A message of few bytes makes no more work than its length allows.
func TestCompressedBombs(t *testing.T) {
	bomb := message(opMsg, 1, 0, n32(flagMoreToCome), body(doc(str("ping", "x"), strings.Repeat("\x0a\x00", 130_000))))
	for compressor := byte(compressedSnappy); compressor <= compressedZstd; compressor++ {
		b := []byte(packed(compressor, bomb))[headerBytes+compressedBytes:]
		var z inflater
		content, err := z.inflate(compressor, b, 260_000)
		if err != nil || len(content) == 0 || len(content) > freelyInflated+maxRatio*len(b) {
			t.Errorf("compressor %d: %d bytes of %d: %v", compressor, len(content), len(b), err)
		}
	}
}

// A command that names its namespaces is about these, whatever it is sent to.
func TestBulkWriteWithItsNamespacesInTheBody(t *testing.T) {
	bulk := func(id uint32, namespaces ...string) string {
		var listed []string
		for _, ns := range namespaces {
			listed = append(listed, doc(str("ns", ns)))
		}
		return ask(id, i32("bulkWrite", 1), array("ops", doc(i32("insert", 0), sub("document", str("a", "x")))), array("nsInfo", listed...), str("$db", "admin"))
	}
	for want, namespaces := range map[string][]string{"shop/orders": {"shop.orders"}, "/": {"shop.orders", "x.y"}} {
		_, r := play([]scene{c(bulk(1, namespaces...)), s(answer(1, good))}, protocol.Session{}, 0, nil)
		if len(r.Exchanges) != 1 {
			t.Fatalf("%d exchanges", len(r.Exchanges))
		}
		text := func(key string) string { s, _ := r.Exchanges[0].Attributes[key].(string); return s }
		if got := text("db.namespace") + "/" + text("db.collection.name"); got != want {
			t.Errorf("%v: %s, want %s", namespaces, got, want)
		}
	}
}

// With raw texts, too, values whose names are those of secrets are left out, and what is explained.
func TestRawTextHasNoSecrets(t *testing.T) {
	raw := func(c any) { c.(*Config).RawQueryText = true }
	steps := map[string]string{
		"explained insert":      ask(1, sub("explain", str("insert", "users"), array("documents", doc(str("a", secret))))),
		"explained createUser":  ask(1, sub("explain", str("createUser", "bob"), str("customData", secret))),
		"in $set, with a point": ask(1, str("update", "users"), array("updates", doc(sub("q", str("_id", "7")), sub("u", sub("$set", str("auth.password", secret)))))),
	}
	for _, n := range []string{"password", "Password", "user.password", "userPassword", "newPassword", "apiKey", "api_key", "access_token", "client_secret", "secret_key"} {
		steps[n] = ask(1, str("find", "users"), sub("filter", str(n, secret)))
	}
	for title, asked := range steps {
		_, r := play([]scene{c(asked), s(answer(1, good))}, protocol.Session{}, 0, raw)
		if text := briefs(r); len(r.Exchanges) != 1 || strings.Contains(text, secret) {
			t.Errorf("%s: %s", title, text)
		}
	}
}

func TestMalformedMessages(t *testing.T) {
	broken := strings.Replace(find(1), "\x02status", "\x55status", 1)
	check(t, []scene{c(find(1)), s(cursor(1, "firstBatch", 1)), c(strings.Replace(find(2), "\x02find", "\x55find", 1), find(3)), s(cursor(3, "firstBatch", 1))}, protocol.Session{}, []string{found + " returned_rows=1", found + " returned_rows=1"}, protocol.Malformed)
	check(t, []scene{c(broken), s(cursor(1, "firstBatch", 1))}, protocol.Session{}, []string{`find orders returned_rows=1`}, protocol.Malformed)
	check(t, []scene{c(find(1)), s(strings.Replace(answer(1, good), "\x01ok", "\x55ok", 1))}, protocol.Session{}, []string{found + " error=malformed_response"}, protocol.Malformed)
}
