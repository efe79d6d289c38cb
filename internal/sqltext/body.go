package sqltext

import "github.com/socketflow/socketflow/internal/protocol/ascii"

// body follows whether a semicolon is within the body of a function, procedure or trigger, where it ends no statement.
type body struct {
	words   int // so many were read
	creates bool
	routine bool
	depth   int // of BEGIN and CASE until their END
}

// mostHead is how many words CREATE and its object have before the object's kind.
const mostHead = 12

func (b *body) inside() bool { return b.depth > 0 }

// add reads a token. MySQL's bodies also have IF, LOOP and others that end with END: one that has begun goes on to the end of the text.
func (b *body) add(d Dialect, text []byte, k kind) {
	if k != word {
		return
	}
	b.words++
	switch {
	case b.words == 1:
		b.creates = ascii.Is(text, "create")
	case b.creates && !b.routine && b.words <= mostHead:
		b.routine = ascii.Is(text, "function") || ascii.Is(text, "procedure") || d == MySQL && (ascii.Is(text, "trigger") || ascii.Is(text, "event"))
	case !b.routine:
	case ascii.Is(text, "begin"), b.depth > 0 && ascii.Is(text, "case"):
		b.depth++
	case b.depth > 0 && d != MySQL && ascii.Is(text, "end"):
		b.depth--
	}
}
