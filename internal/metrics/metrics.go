// Package metrics aggregates exchanges and connections into series: of a process, a metric, and the values of the metric's attributes.
//
// Each shard has a Recorder, which only its goroutine uses: to add a measurement to a series that exists takes neither a lock nor memory. From time to
// time a Recorder hands over what it has measured since the last time to the Store, which all shards share and whose series are emitted.
package metrics

import (
	"time"

	"github.com/socketflow/socketflow/internal/process"
)

// Options of a Store.
type Options struct {
	Interval   time.Duration // between two emissions; 0: there are no metrics
	Delta      bool          // points have what was measured since the last emission; false: since their series has begun
	StaleAfter time.Duration // for how long a series without measurements goes on if its process has ended, or its room is needed
	Series     int           // at a time, at most
	// LearnRoutes gives requests of HTTP a route at their server, as far as none is configured.
	LearnRoutes bool
	// ByService: series are of services, not of processes.
	ByService bool
	// Exponential histograms instead of those with the bounds that the conventions advise.
	Exponential bool

	Phases bool      // measure the parts of what requests take, too
	Peers  []Network // the first one that has a peer names it

	// Alive reports whether a process lives. It may be called from any goroutine.
	Alive func(process.ID) bool
	// Text makes the value of an attribute fit to be emitted, and Errno is the name of a Linux error number.
	Text  func(string) string
	Errno func(uint32) string
}
