package fdtrack

import (
	"sync"

	"github.com/socketflow/socketflow/internal/event"
)

// inode identifies a socket on the host.
type inode struct {
	netns  uint32
	number uint64
}

// maxInodes bounds how many sockets are remembered by inode.
const maxInodes = 65536

// knownSocket is a socket that was found in procfs.
type knownSocket struct {
	flow      event.Flow
	tracker   *Tracker
	listening bool
}

// inodes holds the sockets that were found in procfs, so that another descriptor that leads to one of them is recognised.
type inodes struct {
	mu    sync.Mutex
	known map[inode]knownSocket
}

func (n *inodes) get(i inode) (knownSocket, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	s, ok := n.known[i]
	return s, ok
}

// claim stores a socket under its inode. If one is stored already, claim returns that one instead.
func (n *inodes) claim(i inode, s knownSocket) (before knownSocket, known bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if before, known = n.known[i]; known {
		return before, true
	}
	if len(n.known) < maxInodes {
		n.known[i] = s
	}
	return s, false
}

func (n *inodes) drop(i inode, cookie uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.known[i].flow.Cookie == cookie {
		delete(n.known, i)
	}
}
