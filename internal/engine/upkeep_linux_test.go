//go:build amd64 || arm64

package engine

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestWhenLiveSocketsAreLookedFor(t *testing.T) {
	const brief, long = 10 * time.Millisecond, 150 * time.Millisecond
	for name, test := range map[string]struct {
		passes    livePasses
		following bool
		after     time.Duration
		want      bool
	}{
		"nothing is followed": {livePasses{}, false, time.Hour, false},
		"quiet":               {livePasses{}, true, quietInterval - 1, false},
		"quiet for long":      {livePasses{}, true, quietInterval, true},
		"an end was lost":     {livePasses{lost: true, took: time.Hour}, true, 0, true},
		"descriptors beyond the bound, a brief pass before":    {livePasses{untracked: true, took: brief}, true, lossInterval, true},
		"descriptors beyond the bound, a long pass before":     {livePasses{untracked: true, took: long}, true, lossInterval, false},
		"the same, when it has rested":                         {livePasses{untracked: true, took: long}, true, passShare * long, true},
		"descriptors beyond the bound, and no pass takes that": {livePasses{untracked: true, took: time.Hour}, false, quietInterval, true},
	} {
		begin := time.Now()
		test.passes.looked = begin
		assert.Equal(t, test.want, test.passes.due(begin.Add(test.after), test.following), name)
	}
}

func TestAPassThatWasNotWholeIsDoneOnceMore(t *testing.T) {
	p := livePasses{lost: true, untracked: true}
	begin := time.Now()
	p.done(begin, begin.Add(time.Second), false)
	assert.True(t, p.due(begin.Add(time.Second), true))
	p.done(begin, begin.Add(time.Second), true)
	assert.False(t, p.due(begin.Add(time.Second), true))
	assert.Equal(t, time.Second, p.took)
}
