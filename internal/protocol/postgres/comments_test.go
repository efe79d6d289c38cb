package postgres

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

// TestTheCommentOfAPreparedStatementNamesTheParentOfOneExecution: of the first, and of a named statement only if it follows before the
// Sync.
func TestTheCommentOfAPreparedStatementNamesTheParentOfOneExecution(t *testing.T) {
	run, ran := bind("", "")+execute("", 0), bindDone+tag("SELECT 0")
	named := bind("", "n") + execute("", 0)
	a, b := parse("", commented("SELECT a", 1)), parse("", commented("SELECT b", 2))
	for name, x := range map[string]struct {
		steps []step
		want  string // the operations, with the spans that are their parents
	}{
		"at once":                         {[]step{c(a, run, sync), s(parseDone, ran, idle)}, "SELECT:1"},
		"twice at once":                   {[]step{c(a, run, run, sync), s(parseDone, ran, ran, idle)}, "SELECT:1 SELECT:0"},
		"described first":                 {[]step{c(a, describe("S", ""), sync), s(parseDone, types, none, idle), c(run, sync), s(ran, idle)}, "SELECT:1"},
		"and again":                       {[]step{c(a, run, sync), s(parseDone, ran, idle), c(run, sync), s(ran, idle)}, "SELECT:1 SELECT:0"},
		"prepared anew":                   {[]step{c(a, run, sync), s(parseDone, ran, idle), c(b, run, sync), s(parseDone, ran, idle)}, "SELECT:1 SELECT:2"},
		"one without a comment":           {[]step{c(a, run, sync), s(parseDone, ran, idle), c(parse("", "SELECT 1"), run, sync), s(parseDone, ran, idle)}, "SELECT:1 SELECT:0"},
		"a pipeline":                      {[]step{c(a, run, b, run, sync), s(parseDone, ran, parseDone, ran, idle)}, "SELECT:1 SELECT:2"},
		"a portal in parts":               {[]step{c(a, bind("p", ""), execute("p", 5), flush), s(parseDone, bindDone, row, portalFull), c(execute("p", 5), sync), s(tag("SELECT 1"), idle)}, "SELECT:1 SELECT:1"},
		"named, before the Sync":          {[]step{c(parse("n", commented("SELECT a", 3)), named, sync), s(parseDone, ran, idle), c(named, sync), s(ran, idle)}, "SELECT:3 SELECT:0"},
		"named, behind the Sync":          {[]step{c(parse("n", commented("SELECT a", 3)), sync), s(parseDone, idle), c(named, sync), s(ran, idle)}, "SELECT:0"},
		"another one is executed":         {[]step{c(parse("n", "SELECT n"), sync), s(parseDone, idle), c(a, named, sync), s(parseDone, ran, idle)}, "SELECT:0"},
		"it cannot be prepared":           {[]step{c(a, sync), s(failure("42P01"), idle)}, "SELECT:1"},
		"named, and it cannot":            {[]step{c(parse("n", commented("SELECT a", 3)), sync), s(failure("42P01"), idle)}, "SELECT:3"},
		"what is bound cannot be":         {[]step{c(a, run, sync), s(parseDone, failure("22P02"), idle)}, "SELECT:1"},
		"the name stands for another one": {[]step{c(parse("n", commented("SELECT a", 3)), named, sync), s(parseDone, failure("26000"), idle)}, "(none):3"},
		"it fails":                        {[]step{c(a, run, sync), s(parseDone, bindDone, failure("22012"), idle)}, "SELECT:1"},
		"the first fails, and the next is passed over": {[]step{c(a, run, b, run, sync), s(parseDone, bindDone, failure("22012"), idle)}, "SELECT:1"},
		"its beginning is lost":                        {[]step{c(a[:8]), protocoltest.Missing(protocol.FromClient, uint64(len(a)-8), protocol.Lost), {Bytes: run + sync, Silence: 1e9}, s(parseDone, ran, idle)}, "SELECT:0"},
		"a simple query":                               {[]step{c(query(commented("SELECT 1", 4))), s(tag("SELECT 0"), idle), c(query("SELECT 1")), s(tag("SELECT 0"), idle)}, "SELECT:4 SELECT:0"},
	} {
		for _, piece := range []int{0, 1, 7} {
			p, r := play(append(login[:len(login):len(login)], x.steps...), protocol.Session{}, piece)
			p.Close(0)
			var got []string
			for i := range r.Exchanges {
				e := &r.Exchanges[i]
				operation, ok := e.Attributes["db.operation.name"].(string)
				if !ok {
					operation = "(none)"
				}
				parent := e.Parent.SpanID[7]
				got = append(got, fmt.Sprintf("%s:%d", operation, parent))
				if carried := r.Carried[e.ID].Parent; carried.Valid() {
					assert.Equal(t, e.Parent, carried, "%s: what the request says is what the exchange says", name)
				}
			}
			assert.Equal(t, x.want, strings.Join(got, " "), "%s, in pieces of %d", name, piece)
			ended(t, p, r)
		}
	}
}
