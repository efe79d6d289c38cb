package otelcol

import (
	"strconv"
	"strings"
)

// Counters are the collector's own metrics, by name and labels as they are written.
type Counters map[string]float64

// Scrape reads the collector's metrics about itself.
func (p *Process) Scrape() (Counters, error) {
	text, err := Fetch(p.metrics)
	if err != nil {
		return nil, err
	}
	return parse(text), nil
}

func parse(text string) Counters {
	all := Counters{}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		space := strings.LastIndexByte(line, ' ')
		if strings.HasPrefix(line, "#") || space < 0 {
			continue
		}
		if value, err := strconv.ParseFloat(line[space+1:], 64); err == nil {
			all[strings.TrimPrefix(line[:space], "otelcol_")] = value
		}
	}
	return all
}

// Sum adds up the series of the name whose labels contain the text.
func (c Counters) Sum(name, label string) int {
	var sum float64
	for series, value := range c {
		if (series == name || strings.HasPrefix(series, name+"{")) && strings.Contains(series, label) {
			sum += value
		}
	}
	return int(sum)
}

// Losses are how many spans of requests may be missing by what was counted.
type Losses struct {
	Export int // by the exporter
	Kernel int // by the kernel, and the parsers
	Flows  int // of DNS only
}

// Losses are those of all that was counted.
func (c Counters) Losses() Losses {
	return Losses{
		// What the exporter's queue refuses the receiver counts, too.
		Export: c.Sum("exporter_send_failed_spans", "") +
			max(c.Sum("exporter_enqueue_failed_spans", ""), c.Sum("socketflow_items_refused", `signal="spans"`)),
		Kernel: c.Sum("socketflow_kernel_events_lost", "") + c.Sum("socketflow_payload_missing", "") +
			c.Sum("socketflow_kernel_events_missed", "") + c.Sum("socketflow_parse_errors", "") -
			c.Sum("socketflow_parse_errors", "undecodable") + // of fields that are not in a request's line
			c.Sum("socketflow_sockets_evicted", "close_lost"),
		Flows: c.Sum("socketflow_flows_reopened", "") + c.Sum("socketflow_datagrams_missed", ""),
	}
}

// IsLoss reports whether a series counts what was lost.
func IsLoss(series string) bool {
	for _, name := range [...]string{"exporter_send_failed_spans", "exporter_enqueue_failed_spans", "socketflow_items_refused", "socketflow_kernel_events_lost",
		"socketflow_payload_missing", "socketflow_kernel_events_missed", "socketflow_parse_errors", "socketflow_sockets_evicted", "socketflow_flows_reopened",
		"socketflow_datagrams_missed", "socketflow_data_strays", "socketflow_decode_errors"} {
		if strings.HasPrefix(series, name) {
			return true
		}
	}
	return false
}
