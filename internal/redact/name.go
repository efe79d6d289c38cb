package redact

// verdict is what a name says about its value, a set.
type verdict uint8

const (
	isSecret      verdict = 1 << iota // by its words, or because the configuration says so
	isSecretAlone                     // by a word that has to stand alone: weaker
	isSafe                            // the configuration says so
	isIdentifier                      // the value may be random and no secret
	isGuard                           // a random value, even a short one, is a secret
)

// maxName is how many bytes of a name are judged, the last ones: the noun comes last.
const maxName = 64

// name collects the characters of a name.
type name struct {
	bytes  [maxName]byte
	length int
	closed bool // by a quotation mark
}

func (n *name) reset() { n.length, n.closed = 0, false }

func (n *name) add(c byte) {
	if n.closed {
		n.reset()
	}
	if n.length == maxName {
		n.length = copy(n.bytes[:], n.bytes[maxName/2:])
	}
	n.bytes[n.length] = c
	n.length++
}

// space adds whitespace: it may follow a name, and servers strip it.
func (n *name) space() {
	if n.length > 0 && !n.closed {
		n.add(' ')
	}
}

func (n *name) text() []byte { return n.bytes[:n.length] }

// reading is what has been read of a name.
type reading struct {
	word    [longestWord]byte
	length  int
	last    meaning // of the latest word
	alone   meaning // of the only word of the present part
	inPart  int     // words of the present part
	words   int
	verdict verdict
}

// judge reads the words of a name: they are separated by anything but letters and digits, or begin with a capital letter. Parts of a name
// are separated as in user[password] and user.password.
func (r *Rules) judge(name []byte) verdict {
	if isASCII(name) {
		return r.judgeASCII(name)
	}
	var buffer [maxName]byte
	return r.judgeASCII(appendPlain(buffer[:0], name[max(0, len(name)-maxName):]))
}

func (r *Rules) judgeASCII(name []byte) verdict {
	if v := r.configured(name); v != 0 {
		return v
	}
	if isShortAndUnknown(name) {
		return 0
	}
	v, humps := read(name, true)
	if humps && v&isSecret == 0 { // capital letters may mean nothing, as in pAsSwOrD
		inSmall, _ := read(name, false)
		v |= inSmall & (isSecret | isSecretAlone)
	}
	return v
}

// isShortAndUnknown recognises most names without reading them: a word in lower case, whose length, first and last letter no word of the list has.
func isShortAndUnknown(name []byte) bool {
	if len(name) == 0 || len(name) >= shortestGlued {
		return false
	}
	for _, c := range name {
		if !isLower(c) {
			return false
		}
	}
	return lengths[endsOf(name)]>>len(name)&1 == 0
}

// read reads a name, with or without regard to capital letters, and reports whether one begins a word.
func read(name []byte, capitals bool) (v verdict, humps bool) {
	var rd reading
	for i, c := range name {
		switch {
		case isUpper(c):
			if capitals && i > 0 && (!isUpper(name[i-1]) || i+1 < len(name) && isLower(name[i+1])) {
				humps = humps || rd.length > 0
				rd.endWord()
			}
			rd.add(c | 0x20)
		case isLower(c), isDigit(c):
			rd.add(c)
		case c == '[', c == ']', c == '.', c == ':':
			rd.endPart()
		default:
			rd.endWord()
		}
	}
	return rd.end(), humps
}

func (rd *reading) add(c byte) {
	if rd.length == longestWord {
		copy(rd.word[:], rd.word[1:])
		rd.length--
	}
	rd.word[rd.length] = c
	rd.length++
}

func (rd *reading) endWord() {
	if rd.length == 0 {
		return
	}
	if isNumber(rd.word[:rd.length]) { // as in X-Hub-Signature-256
		rd.length = 0
		return
	}
	m := meaningOf(rd.word[:rd.length])
	rd.length = 0
	before := rd.last
	if m&secret != 0 ||
		before&qualifiesKey != 0 && m&key != 0 ||
		before&qualifiesCode != 0 && m&code != 0 ||
		before&session != 0 && m&identifier != 0 ||
		before&saml != 0 && m&message != 0 {
		rd.verdict |= isSecret
	}
	if m&guards != 0 {
		rd.verdict |= isGuard
	}
	rd.last, rd.alone = m, m
	rd.inPart++
	rd.words++
}

func (rd *reading) endPart() {
	rd.endWord()
	if rd.inPart == 1 && rd.alone&(secretAlone|secretLast) != 0 {
		rd.verdict |= isSecretAlone
	}
	rd.inPart = 0
}

func (rd *reading) end() verdict {
	rd.endPart()
	v := rd.verdict
	switch {
	case rd.last&secretLast != 0:
		v |= isSecret
	case rd.last&describes != 0 && rd.last&secret == 0 && rd.words > 1:
		v &^= isSecret
	}
	if rd.last&identifier != 0 {
		v |= isIdentifier
	}
	return v
}

// configured looks the name up in what the user has listed.
func (r *Rules) configured(name []byte) verdict {
	if r == nil || len(r.secret)+len(r.safe) == 0 {
		return 0
	}
	var buffer [maxName]byte
	folded := appendFolded(buffer[:0], name[max(0, len(name)-maxName):])
	if _, ok := r.safe[string(folded)]; ok {
		return isSafe
	}
	if _, ok := r.secret[string(folded)]; ok {
		return isSecret
	}
	return 0
}

// appendFolded appends the letters and digits of a name, in lower case.
func appendFolded(to, name []byte) []byte {
	for _, c := range name {
		switch {
		case isUpper(c):
			to = append(to, c|0x20)
		case isLower(c), isDigit(c), c >= 0x80:
			to = append(to, c)
		}
	}
	return to
}

func isNumber(word []byte) bool {
	for _, c := range word {
		if !isDigit(c) {
			return false
		}
	}
	return true
}
