package otlp

import "hash/maphash"

// interned caches short texts that repeat: methods, schemes, user agents, paths. It is a set-associative cache of fixed size: a new text costs one
// allocation, and evicts another one of its set. (Of a direct-mapped cache two texts of every request may share a place, and evict each other for ever.)
type interned struct {
	sets [128]struct {
		texts [4]string
		next  uint8 // the index of the text that is evicted next
	}
	seed maphash.Seed
	both []byte // see join
}

// longestInterned is the length in bytes above which a text is assumed not to repeat, such as a URL with a number in it.
const longestInterned = 64

// of returns a text, sound.
func (t *interned) of(text []byte) string {
	if len(text) > longestInterned {
		return sound(string(text))
	}
	set := &t.sets[maphash.Bytes(t.seed, text)%uint64(len(t.sets))]
	for i := range set.texts {
		if set.texts[i] == string(text) {
			return set.texts[i]
		}
	}
	evicted := &set.texts[set.next]
	set.next = (set.next + 1) % uint8(len(set.texts))
	*evicted = sound(string(text))
	return *evicted
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
