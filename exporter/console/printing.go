package console

import (
	"context"
	"time"

	"go.uber.org/zap"
)

// hint says what comes. The exporter cannot see when a receiver begins to see anything.
func (c *console) hint() string {
	text := "All requests"
	if !c.include.empty() || !c.exclude.empty() {
		text = "Requests that include and exclude choose"
	}
	switch c.config.Connections {
	case ConnectionsFailed:
		text += ", and connections that fail"
	case ConnectionsWithoutRequests:
		text += ", and connections without requests"
	case ConnectionsAll:
		text += ", and connections"
	}
	text += ": one line each, when it ends. The receiver may take ten seconds to begin. Ctrl-C ends this"
	if c.config.Summary {
		text += " with a summary"
	}
	return text + "."
}

// print writes what is due, or at the end everything.
func (c *console) print(all bool) {
	now := c.now()
	c.mu.Lock()
	c.nextSecond(now.UnixNano())
	if all && c.budget.more > 0 {
		c.addMore(c.budget.more, now.UnixNano(), now.UnixNano())
	}
	lines := c.waiting.release(now.UnixNano(), all)
	var texts []string
	if c.config.MetricsInterval > 0 && now.Sub(c.metrics.since(c.began)) >= c.config.MetricsInterval || all {
		texts = c.metrics.text(now, c.renderer.zone)
	}
	printed := 0
	for _, l := range lines {
		if c.wanted(l) {
			c.renderer.line(l)
			printed++
		}
	}
	for _, text := range texts {
		c.renderer.text("", text)
	}
	c.summary.printed += printed
	if all && c.config.Summary && c.runs(now) {
		for _, text := range c.summaryText(now.Sub(c.began)) {
			c.renderer.text("", text)
		}
	}
	c.mu.Unlock()
	if c.write() {
		c.telemetry.ConsoleLinesPrinted.Add(context.Background(), int64(printed))
	} else {
		c.mu.Lock()
		c.leftOut(printed, leftUnwritten)
		c.mu.Unlock()
	}
}

// summaryText is the summary of so long a run. If nothing has come, the receiver may not have started.
func (c *console) summaryText(ran time.Duration) []string {
	if !c.consumed {
		return []string{"", "Nothing was seen in " + duration(ran) + "."}
	}
	return c.summary.text(ran)
}

// wanted reports whether a line is printed after all, now that both ends may be known.
func (c *console) wanted(l *line) bool {
	if l.kind == connection && c.config.Connections == ConnectionsWithoutRequests && !l.failed {
		if id := l.asks.connection + l.serves.connection; id != "" && (c.hadRequest(l.asks.connection) || c.hadRequest(l.serves.connection)) {
			return false
		}
	}
	return l.kind == more || l.matches && !l.excluded
}

// write hands the buffer to the output.
func (c *console) write() bool {
	if len(c.renderer.buf) == 0 {
		return true
	}
	_, err := c.out.Write(c.renderer.buf)
	c.renderer.buf = c.renderer.buf[:0]
	if err == nil {
		return true
	}
	if now := c.now(); now.Sub(c.warned) >= writeSilent {
		c.warned = now
		c.logger.Warn("lines could not be written", zap.Error(err))
	}
	return false
}
