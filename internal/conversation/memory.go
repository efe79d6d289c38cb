package conversation

import (
	"math/bits"
	"unsafe"

	"github.com/socketflow/socketflow/internal/intrusive"
	"github.com/socketflow/socketflow/internal/protocol"
)

// memory bounds what the conversations of a shard hold together. Conversations are in lists by the binary logarithm of their size, so
// that one of the largest is found without a search. One that has become smaller stays in its list until relieve looks at it: most become
// smaller and larger again with every exchange.
type memory struct {
	limit, total int
	classes      [maxClass + 1]intrusive.List[Conversation]
}

const (
	maxClass = 40 // a terabyte
	// transferBytes is what a transfer takes that is kept, beside its bytes.
	transferBytes = int(unsafe.Sizeof(transfer{}))
	// headroom is how much memory Go takes for what is in use: it collects garbage when the heap has doubled (GOGC=100).
	headroom = 2
)

// account counts what the conversation holds now.
func (c *Conversation) account() {
	m := &c.shard.memory
	held := c.recognition.size[0] + c.recognition.size[1] + cap(c.recognition.kept)*transferBytes
	if c.naming != nil {
		held += namingBytes
	}
	if c.parser != nil {
		held += c.parser.Held()
	}
	held *= headroom
	m.total += held - c.held
	c.held = held
	if class := classOf(held); class > c.class || c.parser == nil { // one that is over may have become smaller before, and is still in its list
		m.file(c, class)
	}
}

func classOf(held int) int { return min(bits.Len(uint(max(held, 0))), maxClass) }

// file moves a conversation to the list of a class. Class 0 has none.
func (m *memory) file(c *Conversation, class int) {
	if class == c.class {
		return
	}
	if c.class > 0 {
		m.classes[c.class].Remove(&c.bySize)
	}
	if class > 0 {
		m.classes[class].Append(&c.bySize, c)
	}
	c.class = class
}

// relieve gives up conversations, the largest first, until the others hold no more than they may.
func (s *Shard) relieve() {
	m := &s.memory
	for class := maxClass; class > 0 && m.total > m.limit; {
		c := m.classes[class].First()
		switch {
		case c == nil:
			class--
		case classOf(c.held) < class:
			m.file(c, classOf(c.held))
		default:
			c.yield()
			s.stats.OverMemory.Add(1)
		}
	}
}

// yield gives up the conversation to free its memory. What it has begun is emitted, as far as it is known.
func (c *Conversation) yield() {
	at := c.shard.now
	c.dropKept()
	c.endNaming()
	c.closeParser(&protocol.Ending{At: protocol.Stamp{Time: at, Began: at}, Unknown: true, Cut: true})
	c.ignore()
	c.setDeadline()
	c.account()
}
