package mysql

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/socketflow/socketflow/internal/protocol"
	"github.com/socketflow/socketflow/internal/protocol/protocoltest"
)

// commented is a statement with a comment of sqlcommenter that names span n of a trace.
func commented(sql string, n int) string {
	return sql + fmt.Sprintf(" /*traceparent='00-0af7651916cd43dd8448eb211c80319c-%016x-01'*/", n)
}

// TestTheCommentOfAPreparedStatementNamesTheParentOfItsPreparation, and of an execution only if the client has not waited before it sent
// that.
func TestTheCommentOfAPreparedStatementNamesTheParentOfItsPreparation(t *testing.T) {
	const sql = "SELECT a FROM t WHERE a = ?"
	prepare := cmd(0x16, commented(sql, 1))
	described := pkts(1, preparedOK(1, 1, 1), column("?"), eof(2), column("a"), eof(2))
	done := pkt(1, ok(2))
	for name, x := range map[string]struct {
		steps []step
		want  string // the commands, with the spans that are their parents
	}{
		"executed by its number":     {[]step{c(prepare), s(described), c(execute(1, "")), s(done)}, "COM_STMT_PREPARE:1 SELECT:0"},
		"executed at once":           {[]step{c(prepare, execute(lastPrepared, "")), s(described, done)}, "COM_STMT_PREPARE:1 SELECT:1"},
		"and again":                  {[]step{c(prepare, execute(lastPrepared, "")), s(described, done), c(execute(lastPrepared, "")), s(done)}, "COM_STMT_PREPARE:1 SELECT:1 SELECT:0"},
		"something else comes first": {[]step{c(prepare), s(described), c(cmd(0x0e, "")), s(done), c(execute(lastPrepared, "")), s(done)}, "COM_STMT_PREPARE:1 COM_PING:0 SELECT:0"},
		"one without a comment": {
			[]step{c(prepare), s(described), c(cmd(0x16, sql), execute(lastPrepared, "")), s(described, done)}, "COM_STMT_PREPARE:1 COM_STMT_PREPARE:0 SELECT:0",
		},
		"refused":  {[]step{c(prepare), s(pkt(1, fail(1146, "#42S02x")))}, "COM_STMT_PREPARE:1"},
		"as text":  {[]step{c(query(commented("SELECT 1", 2))), s(done), c(query("SELECT 1")), s(done)}, "SELECT:2 SELECT:0"},
		"its rest": {[]step{c(prepare[:20]), protocoltest.Missing(protocol.FromClient, uint64(len(prepare)-20), protocol.Lost), s(described), {Bytes: execute(lastPrepared, ""), Silence: 1e9}, s(done)}, "COM_STMT_PREPARE:0 SELECT:0"},
	} {
		for _, piece := range []int{0, 1, 7} {
			p, r := play(then(x.steps...), protocol.Session{}, piece, nil)
			p.Close(0)
			var got []string
			for i := range r.Exchanges {
				e := &r.Exchanges[i]
				got = append(got, fmt.Sprintf("%s:%d", e.Attributes["db.operation.name"], e.Parent.SpanID[7]))
				assert.Equal(t, e.Parent, r.Carried[e.ID].Parent, "%s: what the request says is what the exchange says", name)
			}
			assert.Equal(t, x.want, strings.Join(got, " "), "%s, in pieces of %d", name, piece)
		}
	}
}
