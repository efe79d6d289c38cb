package receiver

import (
	"sync"
	"time"

	"go.uber.org/zap"
)

const lossLogPause = 10 * time.Second

// items are a number of spans, of log records and of points of metrics.
type items struct{ spans, records, points int }

func (i *items) add(n items) {
	i.spans += n.spans
	i.records += n.records
	i.points += n.points
}

// losses counts the items that the pipeline refused, and logs each of them once: while the receiver runs, in at most one line per pause;
// at the end, in one line with what the pipeline has not answered for. It is safe for concurrent use.
type losses struct {
	logger *zap.Logger
	now    func() time.Time

	mu       sync.Mutex
	inHand   items // given to the pipeline, which has not answered yet
	refused  items // in all
	unlogged items // of these
	last     error
	next     time.Time // no line before
	stopping bool      // losses wait for the last line
	settled  bool      // the last line is written
}

// begin counts items that are being given to the pipeline.
func (l *losses) begin(n items) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.inHand.add(n)
}

// end counts them as refused if there is an error. After settle it does not count: they were lost already.
func (l *losses) end(n items, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.settled {
		return
	}
	l.inHand.add(items{-n.spans, -n.records, -n.points})
	if err == nil {
		return
	}
	l.refused.add(n)
	l.unlogged.add(n)
	l.last = err
	if now := l.now(); !l.stopping && !now.Before(l.next) {
		l.next = now.Add(lossLogPause)
		l.logRefused()
	}
}

// stop logs what waits. What is refused from now on waits for settle.
func (l *losses) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stopping = true
	l.logRefused()
}

// settle logs what was lost since stop. If the shutdown took longer than a time, that includes what the pipeline has not answered for,
// which counts as refused.
func (l *losses) settle(whole bool, timeout time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.settled = true
	if whole {
		l.logRefused()
		return
	}
	l.refused.add(l.inHand)
	l.unlogged.add(l.inHand)
	l.inHand = items{}
	l.write("the pipeline did not take everything within shutdown_timeout; the rest is lost", zap.Duration("shutdown_timeout", timeout))
}

func (l *losses) logRefused() {
	if l.unlogged != (items{}) {
		l.write("the pipeline refused items, which are lost")
	}
}

func (l *losses) write(message string, fields ...zap.Field) {
	fields = append(fields, zap.Int("spans", l.unlogged.spans), zap.Int("log_records", l.unlogged.records), zap.Int("data_points", l.unlogged.points))
	if l.last != nil {
		fields = append(fields, zap.NamedError("last_error", l.last))
	}
	l.logger.Error(message, fields...)
	l.unlogged, l.last = items{}, nil
}

// all is how many items were refused.
func (l *losses) all() items {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.refused
}
