package instrumented

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/socketflow/socketflow/internal/process"
)

func TestAProcessIsKnownByItsPIDAndStart(t *testing.T) {
	p := New(64)
	id := process.ID{PID: 4_194_303, Start: 1 << 40}
	assert.False(t, p.Has(id))
	p.Add(id)
	p.Add(id)
	assert.True(t, p.Has(id))
	assert.EqualValues(t, 1, p.Count())
	assert.False(t, p.Has(process.ID{PID: id.PID, Start: id.Start + 1}), "a later process with that pid")
	assert.False(t, p.Has(process.ID{PID: id.PID - 1, Start: id.Start}))
}

func TestAProcessWithoutAPIDIsNone(t *testing.T) {
	p := New(64)
	p.Add(process.ID{Start: 5})
	assert.False(t, p.Has(process.ID{Start: 5}))
	assert.False(t, p.Has(process.ID{}))
	assert.Zero(t, p.Count())
}

func TestTheLastRequestsOfAProcessAreItsOwnToo(t *testing.T) {
	p := New(64)
	id := process.ID{PID: 1, Start: 2}
	p.End(id) // which it has not
	p.Add(id)
	p.End(id)
	p.End(id)
	assert.True(t, p.Has(id))
	assert.Zero(t, p.Count())
}

func TestProcessesThatHaveEndedMakeRoomFirst(t *testing.T) {
	p := New(1) // one set
	for pid := range uint32(places) {
		p.Add(process.ID{PID: pid + 1})
	}
	p.End(process.ID{PID: 3})
	p.Add(process.ID{PID: 100})
	assert.Zero(t, p.Forgotten())
	assert.False(t, p.Has(process.ID{PID: 3}))
	p.Add(process.ID{PID: 101})
	assert.EqualValues(t, 1, p.Forgotten())
	assert.EqualValues(t, places, p.Count())
	assert.True(t, p.Has(process.ID{PID: 101}))
}

func TestShardsShareIt(t *testing.T) {
	p := New(1024)
	var shards sync.WaitGroup
	for shard := range uint32(4) {
		shards.Go(func() {
			for i := range uint32(200) {
				p.Add(process.ID{PID: i + 1, Start: uint64(shard % 2)})
				p.Has(process.ID{PID: i + 1})
			}
		})
	}
	shards.Wait()
	assert.EqualValues(t, 400, p.Count()+int64(p.Forgotten()))
}

func TestToAskAllocatesNothing(t *testing.T) {
	p := New(64)
	id := process.ID{PID: 7, Start: 8}
	p.Add(id)
	assert.Zero(t, testing.AllocsPerRun(100, func() { p.Has(id) }))
}
