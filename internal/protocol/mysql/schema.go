package mysql

import (
	"bytes"

	"github.com/socketflow/socketflow/internal/protocol/ascii"
	"github.com/socketflow/socketflow/internal/sqltext"
)

// read reads a statement, or several.
func (p *parser) read(e *exchange, sql []byte, cut bool) {
	e.statement = p.memory.sql.ReadAs(p.quoting, sql, cut)
	if e.command.reply != replyResult {
		return
	}
	e.batch = 1
	if bytes.IndexByte(sql, ';') < 0 {
		e.uses(sql)
		return
	}
	e.batch = 0
	for rest := sql; len(rest) > 0; {
		first, others, empty := sqltext.Split(sqltext.MySQL, p.quoting, rest)
		if rest = others; empty {
			continue
		}
		e.batch++
		e.uses(first)
		switch of := p.memory.sql.ReadAs(p.quoting, first, cut && len(rest) == 0).Operation; {
		case e.batch == 1:
			e.batchOf = of
		case !bytes.Equal(of, e.batchOf):
			e.batchOf = nil
		}
	}
	if cut && e.batch > 1 {
		e.batch, e.moves = 0, unknown
	}
}

// uses notes the database that a statement names which is USE.
func (e *exchange) uses(sql []byte) {
	if schema, ok := schemaOf(sql, e.schema[:0]); ok {
		e.schema, e.moves = schema, names
		if len(schema) == 0 {
			e.moves = unknown
		}
	}
}

// schemaOf returns the database that a statement uses, appended to a buffer; false: it is not USE. The name is empty if it cannot be read.
func schemaOf(sql, buffer []byte) (schema []byte, ok bool) {
	word, rest := skipBlank(sql), []byte(nil)
	if len(word) > 3 {
		word, rest = word[:3], word[3:]
	}
	name := skipBlank(rest)
	if !ascii.Is(word, "use") || len(name) == len(rest) && (len(name) == 0 || name[0] != '`') {
		return nil, false
	}
	if len(name) > 0 && (name[0] == '`' || name[0] == '"') {
		quote := name[0]
		for name = name[1:]; len(name) > 0; name = name[1:] {
			if name[0] == quote {
				if len(name) == 1 || name[1] != quote {
					return buffer, true
				}
				name = name[1:]
			}
			buffer = append(buffer, name[0])
		}
		return buffer[:0], true
	}
	end := bytes.IndexAny(name, " \t\r\n;/#")
	if end < 0 {
		end = len(name)
	}
	return append(buffer, name[:end]...), true
}

// skipBlank skips white space and comments.
func skipBlank(b []byte) []byte {
	for {
		b = bytes.TrimLeft(b, " \t\r\n\f\v")
		end := ""
		switch {
		case bytes.HasPrefix(b, []byte("/*")) && !bytes.HasPrefix(b, []byte("/*!")) && !bytes.HasPrefix(b, []byte("/*M!")):
			end = "*/"
		case bytes.HasPrefix(b, []byte("--")), bytes.HasPrefix(b, []byte("#")):
			end = "\n"
		default:
			return b
		}
		i := bytes.Index(b, []byte(end))
		if i < 0 {
			return nil
		}
		b = b[i+len(end):]
	}
}

// use notes the database in use; empty: none is.
func (p *parser) use(schema []byte) {
	if len(schema) > maxSchema {
		p.schemaKnown = false
		return
	}
	p.schema, p.schemaKnown = append(p.schema[:0], schema...), true
}
