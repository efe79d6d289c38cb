// Package redact replaces secrets in URLs and in the values of header fields by the word REDACTED.
//
// A secret is known by the name before it (a parameter, a member of a JSON object, a header field), by its place (the user information of a
// URL, what follows "reset" or "webhook" in a path), or by its form (a JSON Web Token, a key of a known service, a long random text).
// Where it is not certain, the text counts as a secret.
package redact

import "bytes"

// Rules are what counts as a secret, beside what always does. Nil is the default. They are not changed: several goroutines may use them.
type Rules struct {
	secret, safe map[string]struct{} // by folded name
}

// New returns rules with more names of secrets, and with names whose values are never redacted. Case and everything but letters
// and digits does not matter in them.
func New(secretNames, safeNames []string) *Rules {
	return &Rules{secret: foldedSet(secretNames), safe: foldedSet(safeNames)}
}

func foldedSet(names []string) map[string]struct{} {
	set := make(map[string]struct{}, len(names))
	for _, n := range names {
		set[string(appendFolded(nil, []byte(n)))] = struct{}{}
	}
	return set
}

// MaxName is how many bytes a configured name may have.
const MaxName = maxName / 2

// ValidName reports whether a configured name can match.
func ValidName(name string) bool {
	return len(name) <= MaxName && len(appendFolded(nil, []byte(name))) > 0
}

// SameName reports whether two names match the same.
func SameName(a, b string) bool {
	return bytes.Equal(appendFolded(nil, []byte(a)), appendFolded(nil, []byte(b)))
}

// part is what a text is.
type part uint8

const (
	inPath  part = iota // of a URL: a parameter ends with "/"
	inQuery             // of a URL: a parameter ends with "&"
	inText              // a header field's value: a parameter ends with ";"
)

// ends are the bytes that end a parameter's value, by part. A value may have all others, because servers differ.
var ends = [...]byte{inPath: '/', inQuery: '&', inText: ';'}

var replacement = []byte("REDACTED")

// AppendPath appends the path of a URL without its secrets. It allocates only what to needs to grow, as do the others.
func (r *Rules) AppendPath(to, path []byte) []byte {
	if r.isPlainPath(path) {
		return append(to, path...)
	}
	return r.scan(to, path, inPath)
}

// AppendQuery appends the query of a URL, without the question mark, without its secrets.
func (r *Rules) AppendQuery(to, query []byte) []byte {
	if r.isPlainQuery(query) {
		return append(to, query...)
	}
	return r.scan(to, query, inQuery)
}

// AppendText appends a text that may have secrets in it, such as a header field's value. In such a text, a random part alone is no secret:
// it is often an identifier, and the whole reason to record the text.
func (r *Rules) AppendText(to, text []byte) []byte { return r.scan(to, text, inText) }

// AppendURL appends a URL, absolute or relative, without its secrets.
func (r *Rules) AppendURL(to, url []byte) []byte {
	path, query, found := bytes.Cut(url, question)
	to = r.AppendPath(to, path)
	if found {
		to = r.AppendQuery(append(to, '?'), query)
	}
	return to
}

// AppendReferrer appends a URL whose query is not for who gets it: the query is left out as a whole.
func (r *Rules) AppendReferrer(to, url []byte) []byte {
	end := bytes.IndexAny(url, "?#")
	if end < 0 {
		return r.AppendPath(to, url)
	}
	return append(append(r.AppendPath(to, url[:end]), url[end]), replacement...)
}

// IsSecretName reports whether the value of a parameter or a header field of this name is a secret.
func (r *Rules) IsSecretName(name []byte) bool { return r.judge(name)&(isSecret|isSecretAlone) != 0 }

var question = []byte{'?'}
