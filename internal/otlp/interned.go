package otlp

import "hash/maphash"

// interned caches short texts that repeat: methods, schemes, user agents, paths. Like addressTexts it is a direct-mapped
// cache of fixed size: a new text costs one allocation.
type interned struct {
	texts [512]string
	seed  maphash.Seed
	both  []byte // see join
}

// longestInterned is the length in bytes above which a text is assumed not to repeat, such as a URL with a number in it.
const longestInterned = 64

// of returns a text, sound.
func (t *interned) of(text []byte) string {
	if len(text) > longestInterned {
		return sound(string(text))
	}
	slot := &t.texts[maphash.Bytes(t.seed, text)%uint64(len(t.texts))]
	if *slot != string(text) {
		*slot = sound(string(text))
	}
	return *slot
}

// join returns two texts as one, until the next call.
func (t *interned) join(first []byte, between byte, second []byte) []byte {
	t.both = append(append(append(t.both[:0], first...), between), second...)
	return t.both
}

// connectionIDs caches the text of connection ids: a kept-alive connection has many exchanges.
type connectionIDs [256]struct {
	number uint64
	text   string
}

func (t *connectionIDs) of(number uint64, i identity) string {
	slot := &t[number%uint64(len(t))]
	if slot.number != number || slot.text == "" {
		slot.number, slot.text = number, i.connectionID(number)
	}
	return slot.text
}
