package console

import (
	"encoding/binary"
	"time"
)

// budget is how many lines of each second are printed. A quarter of them is for errors only. Its owner locks it.
type budget struct {
	most   int
	second int64
	used   int
	more   int // lines of this second that were not printed
}

// next begins another second if it is time, and returns how many lines of the last one were left out.
func (b *budget) next(now int64) (more int, ended int64) {
	second := now / int64(time.Second)
	if second == b.second {
		return 0, 0
	}
	more, ended = b.more, (b.second+1)*int64(time.Second)-1
	b.second, b.used, b.more = second, 0, 0
	return more, ended
}

func (b *budget) room(failed bool) bool {
	if failed {
		return b.used < b.most
	}
	return b.used < b.most-b.most/4
}

func (b *budget) take(failed bool) bool {
	if !b.room(failed) {
		b.more++
		return false
	}
	b.used++
	return true
}

// recent remembers numbers, until others take their places.
type recent struct{ places [1 << recentBits]uint64 }

const recentBits = 14

func newRecent() *recent { return &recent{} }

// place multiplies by 2^64 divided by the golden ratio, because ids of some sources differ in their last bytes only.
func place(n uint64) uint64 { return n * 0x9e3779b97f4a7c15 >> (64 - recentBits) }

func (r *recent) add(n uint64) { r.places[place(n)] = n }

func (r *recent) has(n uint64) bool { return n != 0 && r.places[place(n)] == n }

// take reports whether a number is there, and takes it out.
func (r *recent) take(n uint64) bool {
	found := r.has(n)
	if found {
		r.places[place(n)] = 0
	}
	return found
}

// numberOf is a number for a span: its id is random.
func numberOf(k spanKey) uint64 {
	if !k.known() {
		return 0
	}
	return binary.LittleEndian.Uint64(k.span[:]) ^ binary.LittleEndian.Uint64(k.trace[:8])
}
