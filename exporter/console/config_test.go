package console

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap"
)

func TestDefaultConfigIsValid(t *testing.T) { require.NoError(t, newDefaultConfig().Validate()) }

func TestConfigIsRead(t *testing.T) {
	c := newDefaultConfig()
	require.NoError(t, confmap.NewFromStringMap(map[string]any{
		"color": "never", "window": "2s", "max_lines_per_second": 5,
		"include": map[string]any{"service": []any{"nginx"}, "port": []any{"80", 443}, "slower_than": "1s"},
		"exclude": map[string]any{"status": []any{"2xx", 404, "NOT_FOUND", "nxdomain", "refused", "42P01"}},
	}).Unmarshal(c))
	require.NoError(t, c.Validate())
	assert.Equal(t, []any{"80", 443}, c.Include.Port)
	assert.Equal(t, time.Second, c.Include.SlowerThan)
	assert.Len(t, c.Exclude.Status, 6)
}

func TestInvalidKeysAreNamed(t *testing.T) {
	for message, change := range map[string]func(*Config){
		`color: "blue" is none of auto, always, never`:                          func(c *Config) { c.Color = "blue" },
		`connections: "some" is none of none, failed, without_requests, all`:    func(c *Config) { c.Connections = "some" },
		`max_lines_per_second: 0 is not within 1 and 10000`:                     func(c *Config) { c.MaxLinesPerSecond = 0 },
		`max_waiting: 1 is not within 100 and 1000000`:                          func(c *Config) { c.MaxWaiting = 1 },
		`window: 1ms is not within 10ms and 1m0s`:                               func(c *Config) { c.Window = time.Millisecond },
		`width: 10 is neither 0, which is the terminal's, nor within 40`:        func(c *Config) { c.Width = 10 },
		`metrics_interval: 1ms is not within 1s and 1h0m0s`:                     func(c *Config) { c.MetricsInterval = time.Millisecond },
		`include::slower_than: -1s is negative`:                                 func(c *Config) { c.Include.SlowerThan = -time.Second },
		`include::service: "[" is not a pattern`:                                func(c *Config) { c.Include.Service = []string{"["} },
		`exclude::port: "http" is neither a port (1 to 65535) nor a range`:      func(c *Config) { c.Exclude.Port = []any{"http"} },
		`exclude::status: " " is no status: write 404, 4xx, NOT_FOUND or error`: func(c *Config) { c.Exclude.Status = []any{" "} },
		`include::status: "foo" is no status: write 404`:                        func(c *Config) { c.Include.Status = []any{"foo"} },
		`include: more than 1000 values`:                                        func(c *Config) { c.Include.Status = make([]any, 1001) },
	} {
		c := newDefaultConfig()
		change(c)
		assert.ErrorContains(t, c.Validate(), message)
	}
}
