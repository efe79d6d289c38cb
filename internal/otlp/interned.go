package otlp

import "hash/maphash"

// interned remembers how short texts that return are written: methods, schemes, user agents, paths that are asked for
// again. Like addressTexts it is a direct-mapped cache: its size is fixed, and a peer that comes with ever new texts costs
// one allocation for each.
type interned struct {
	texts [512]string
	seed  maphash.Seed
}

// longestInterned is where a text is taken to be one of its kind, such as a URL with a number in it.
const longestInterned = 64

func (t *interned) of(text []byte) string {
	if len(text) > longestInterned {
		return string(text)
	}
	slot := &t.texts[maphash.Bytes(t.seed, text)%uint64(len(t.texts))]
	if *slot != string(text) {
		*slot = string(text)
	}
	return *slot
}

// connectionIDs remembers ids as they are written: connections that are kept alive have many exchanges.
type connectionIDs [256]struct {
	number uint64
	text   string
}

func (t *connectionIDs) of(number uint64, i *identity) string {
	slot := &t[number%uint64(len(t))]
	if slot.number != number || slot.text == "" {
		slot.number, slot.text = number, i.connectionID(number)
	}
	return slot.text
}
