package engine

import "time"

// leave notes that a shard handles no more events.
func (e *Engine) leave(shard int) {
	e.progress.Leave(shard)
	if e.remaining.Add(-1) == 0 {
		close(e.allRead)
	}
}

// awaitShards waits until all shards have handled all events, so that each can answer the questions of the others. One of them may be waiting for
// the pipeline, for long.
func (e *Engine) awaitShards() {
	timeout := time.NewTimer(e.opts.BatchTimeout)
	defer timeout.Stop()
	select {
	case <-e.allRead:
	case <-timeout.C:
	}
}
