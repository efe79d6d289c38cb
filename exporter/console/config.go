package console

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/socketflow/socketflow/internal/ports"
)

// Color says when lines have colours.
type Color string

// The values of color.
const (
	ColorAuto   Color = "auto" // on a terminal, unless NO_COLOR is set or TERM is dumb
	ColorAlways Color = "always"
	ColorNever  Color = "never"
)

// Connections says which connections have lines of their own.
type Connections string

// The values of connections.
const (
	ConnectionsNone            Connections = "none"
	ConnectionsFailed          Connections = "failed" // could not be opened, were reset, or timed out
	ConnectionsWithoutRequests Connections = "without_requests"
	ConnectionsAll             Connections = "all"
)

// Config is the configuration of the exporter. The defaults print what a person wants to see first: requests, and connections that failed.
type Config struct {
	// Color is auto, always or never.
	Color Color `mapstructure:"color"`
	// Path is the file that lines are appended to; "" or "-" is standard output.
	Path string `mapstructure:"path"`
	// IDs adds the ids of trace, span and connection to each line.
	IDs bool `mapstructure:"ids"`
	// Connections is none, failed, without_requests or all.
	Connections Connections `mapstructure:"connections"`
	// MaxLinesPerSecond bounds how many exchanges of a second are printed. The rest of the second is counted in one line.
	MaxLinesPerSecond int `mapstructure:"max_lines_per_second"`
	// MaxWaiting bounds how many lines wait for their window to end.
	MaxWaiting int `mapstructure:"max_waiting"`
	// Window is how long a line waits for the other end of its exchange, and for what ended before it.
	Window time.Duration `mapstructure:"window"`
	// Width is the number of columns that a line is cut to; 0 is the terminal's width, or 200 where there is no terminal.
	Width int `mapstructure:"width"`
	// Hint prints a line at the start that says what is printed, and how to make a request.
	Hint bool `mapstructure:"hint"`
	// Summary prints a table of services when the collector stops.
	Summary bool `mapstructure:"summary"`
	// MetricsInterval is the time between two tables of metrics; 0 prints only one, when the collector stops.
	MetricsInterval time.Duration `mapstructure:"metrics_interval"`
	// Include has the conditions that a line has to meet, all of them; Exclude leaves out what meets one of its own.
	Include IncludeConfig `mapstructure:"include"`
	Exclude FilterConfig  `mapstructure:"exclude"`

	_ struct{}
}

// FilterConfig has conditions. Each is met if one of its values is; an empty one is not a condition.
type FilterConfig struct {
	// Service has names of services at either end; * stands for any characters but /.
	Service []string `mapstructure:"service"`
	// Port has ports of the side that serves (numbers), and ranges of them (texts): 8000-8999.
	Port []any `mapstructure:"port"`
	// Status has statuses (404, NOT_FOUND), classes of HTTP (4xx), and error for everything that failed.
	Status []any `mapstructure:"status"`

	_ struct{}
}

// IncludeConfig has the conditions of include.
type IncludeConfig struct {
	FilterConfig `mapstructure:",squash"`
	// SlowerThan is the least duration.
	SlowerThan time.Duration `mapstructure:"slower_than"`
}

const (
	minWindow, maxWindow     = 10 * time.Millisecond, time.Minute
	maxRate                  = 10_000
	minWaiting, maxWaiting   = 100, 1_000_000
	minWidth, maxWidth       = 40, 10_000
	minInterval, maxInterval = time.Second, time.Hour
	maxConditions            = 1000
)

func newDefaultConfig() *Config {
	return &Config{
		Color:             ColorAuto,
		Connections:       ConnectionsFailed,
		MaxLinesPerSecond: 50,
		MaxWaiting:        10_000,
		Window:            500 * time.Millisecond,
		Hint:              true,
		Summary:           true,
		MetricsInterval:   30 * time.Second,
	}
}

// Validate reports every key that has no valid value, and what to write.
func (c *Config) Validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	within := func(key string, value, low, high time.Duration) {
		check(value >= low && value <= high, "%s: %v is not within %v and %v", key, value, low, high)
	}
	check(c.Color == ColorAuto || c.Color == ColorAlways || c.Color == ColorNever,
		"color: %q is none of auto, always, never", c.Color)
	switch c.Connections {
	case ConnectionsNone, ConnectionsFailed, ConnectionsWithoutRequests, ConnectionsAll:
	default:
		check(false, "connections: %q is none of none, failed, without_requests, all", c.Connections)
	}
	check(c.MaxLinesPerSecond >= 1 && c.MaxLinesPerSecond <= maxRate,
		"max_lines_per_second: %d is not within 1 and %d", c.MaxLinesPerSecond, maxRate)
	check(c.MaxWaiting >= minWaiting && c.MaxWaiting <= maxWaiting,
		"max_waiting: %d is not within %d and %d", c.MaxWaiting, minWaiting, maxWaiting)
	within("window", c.Window, minWindow, maxWindow)
	check(c.Width == 0 || c.Width >= minWidth && c.Width <= maxWidth,
		"width: %d is neither 0, which is the terminal's, nor within %d and %d", c.Width, minWidth, maxWidth)
	if c.MetricsInterval != 0 {
		within("metrics_interval", c.MetricsInterval, minInterval, maxInterval)
	}
	check(c.Include.SlowerThan >= 0, "include::slower_than: %v is negative", c.Include.SlowerThan)
	errs = append(errs, c.Include.validate("include"), c.Exclude.validate("exclude"))
	return errors.Join(errs...)
}

func (c *FilterConfig) validate(key string) error {
	var errs []error
	if len(c.Service)+len(c.Port)+len(c.Status) > maxConditions {
		errs = append(errs, fmt.Errorf("%s: more than %d values", key, maxConditions))
	}
	for _, pattern := range c.Service {
		if _, err := path.Match(pattern, ""); err != nil || pattern == "" {
			errs = append(errs, fmt.Errorf("%s::service: %q is not a pattern: write a name, * for any characters, [a-z] for one of these", key, pattern))
		}
	}
	for _, value := range c.Port {
		if _, ok := ports.Parse(scalar(value)); !ok {
			errs = append(errs, fmt.Errorf("%s::port: \"%v\" is neither a port (1 to 65535) nor a range of ports (8000-8999)", key, value))
		}
	}
	for _, value := range c.Status {
		if !isStatus(scalar(value)) {
			errs = append(errs, fmt.Errorf("%s::status: \"%v\" is no status: write 404, 4xx, NOT_FOUND or error; a word that a line shows is written in capitals",
				key, value))
		}
	}
	return errors.Join(errs...)
}

// plainStatuses are the words in small letters that lines show, or that people write for codes that have but one word.
var plainStatuses = []string{
	"error", "ok", "refused", "reset", "timed out", "timeout", "host unreachable", "network unreachable",
	"cancelled", "unknown", "aborted", "unimplemented", "internal", "unavailable", "unauthenticated", // gRPC
	"noerror", "formerr", "servfail", "nxdomain", "notimp", // DNS
}

// isStatus reports whether a line can have a status. Those of protocols are open: any with a capital, a digit or a separator may be one.
func isStatus(text string) bool {
	return strings.ContainsAny(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.") || slices.Contains(plainStatuses, text)
}

// scalar is the text of a value that may be written as a number or as a text, and "" of anything else.
func scalar(value any) string {
	switch value := value.(type) {
	case string:
		return strings.TrimSpace(value)
	case int:
		return strconv.Itoa(value)
	}
	return ""
}
