package fdtrack

import (
	"fmt"
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/socketflow/socketflow/internal/process"
)

// starts are the start times of processes by the kernel side's names. One shard may read /proc while a process lives, and another when it
// has ended: to both it is the same process.
type starts struct {
	mu    sync.Mutex
	known *simplelru.LRU[process.ID, uint64]
}

// maxStarts bounds how many are remembered. They are needed for the short time that one shard is behind another.
const maxStarts = 4096

func (s *starts) init() (err error) {
	if s.known, err = simplelru.NewLRU[process.ID, uint64](maxStarts, nil); err != nil {
		return fmt.Errorf("fdtrack: start times: %w", err)
	}
	return nil
}

func (s *starts) put(name process.ID, start uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known.Add(name, start)
}

func (s *starts) get(name process.ID) (start uint64, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.known.Get(name)
}
