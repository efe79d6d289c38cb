package protocol

import "bytes"

// CommentedParent is the trace context that a comment before or behind a statement in SQL carries, as sqlcommenter writes it
// (https://google.github.io/sqlcommenter/spec): keys and values in single quotation marks, of which traceparent is read. Nothing within
// the statement counts: it may be a literal.
func CommentedParent(sql []byte) (t TraceContext, ok bool) {
	const opening, closing = "/*", "*/"
	sql = bytes.TrimRight(sql, "; \t\r\n\x00")
	if bytes.HasSuffix(sql, []byte(closing)) {
		if from := bytes.LastIndex(sql, []byte(opening)); from >= 0 {
			if t, ok = parentIn(sql[from+len(opening) : max(from+len(opening), len(sql)-len(closing))]); ok {
				return t, true
			}
		}
	}
	sql = bytes.TrimLeft(sql, " \t\r\n")
	if !bytes.HasPrefix(sql, []byte(opening)) {
		return TraceContext{}, false
	}
	sql = sql[len(opening):]
	end := bytes.Index(sql, []byte(closing))
	if end < 0 {
		return TraceContext{}, false
	}
	return parentIn(sql[:end])
}

// parentIn reads a comment. A traceparent that is there twice is none.
func parentIn(comment []byte) (TraceContext, bool) {
	value, ok := commented(comment, "traceparent='")
	if !ok {
		return TraceContext{}, false
	}
	return ParseTraceparent(value)
}

// commented is the value behind a key, which begins the comment or follows a comma.
func commented(comment []byte, key string) ([]byte, bool) {
	at := bytes.Index(comment, []byte(key))
	if at < 0 || bytes.Contains(comment[at+len(key):], []byte(key)) {
		return nil, false
	}
	if before := bytes.TrimRight(comment[:at], " \t\r\n"); len(before) > 0 && before[len(before)-1] != ',' {
		return nil, false
	}
	value, _, closed := bytes.Cut(comment[at+len(key):], []byte("'"))
	return value, closed
}
