package http

import "unsafe"

// Account counts the memory that the messages of a conversation hold.
type Account struct {
	Bytes int
	// refs counts how many messages refer to a value of a header table, whose memory is counted once.
	refs map[*byte]int
}

// minShared is the length in bytes from which on a value is shared instead of copied. Most values are shorter, and cheaper to copy
// than to count.
const minShared = 256

// FromTable says that the values that are set until the next call are this entry of a header table, or its beginning; "": they are
// not. A long value is then kept once, however many messages have it.
func (p *Pool) FromTable(value string) {
	if len(value) < minShared {
		value = ""
	}
	if p.entry != value { // mostly there is nothing to write
		p.entry = value
	}
}

func (a *Account) refer(s string) {
	if a.refs == nil {
		a.refs = make(map[*byte]int)
	}
	at := unsafe.StringData(s)
	if a.refs[at]++; a.refs[at] == 1 {
		a.Bytes += len(s)
	}
}

func (a *Account) release(s string) {
	at := unsafe.StringData(s)
	if a.refs[at]--; a.refs[at] == 0 {
		delete(a.refs, at)
		a.Bytes -= len(s)
	}
}

// SharedBytes is how many bytes the message has of texts that it shares with others.
func (m *Message) SharedBytes() (n int) {
	for _, s := range m.shared {
		n += len(s)
	}
	return n
}

const messageBytes = int(unsafe.Sizeof(Message{}))

// count brings the message's size in the account up to date.
func (m *Message) count() {
	size := messageBytes + cap(m.kept)
	m.account.Bytes += size - m.size
	m.size = size
}
