package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// span is the part of one of Jaeger's spans that shows whose it is.
type span struct {
	id, trace, parent string // parent is empty: none
	service           string
	kind              string // client, server
	operation         string
	target            string // what the request names: a URL, a path, a command with its key
	evidence          string // socketflow.parent.source
	began, took       time.Duration
}

// answer is the part of Jaeger's /api/traces that matters here.
type answer struct {
	Data []struct {
		Spans []struct {
			TraceID, SpanID, OperationName, ProcessID string
			References                                []struct{ RefType, SpanID string }
			StartTime, Duration                       int64 // microseconds
			Tags                                      []struct {
				Key   string
				Value any
			}
		}
		Processes map[string]struct{ ServiceName string }
	}
}

// awaitSpans asks Jaeger until it has as many spans of the orders as there have to be. After its patience it takes what there is.
func awaitSpans(jaeger string, since time.Time, requests int, patience time.Duration) ([]span, error) {
	clock := time.NewTicker(500 * time.Millisecond)
	defer clock.Stop()
	for end := time.Now().Add(patience); ; <-clock.C {
		all, err := spansOf(jaeger, since)
		if err != nil || time.Now().After(end) || countOrders(all) >= requests*len(chain) {
			return all, err
		}
	}
}

// spansOf are all spans of the shop's services: whichever trace they are in, because a trace may be in pieces.
func spansOf(jaeger string, since time.Time) ([]span, error) {
	seen := map[string]bool{}
	var all []span
	for _, service := range services() {
		query := url.Values{
			"service": {service}, "limit": {"100000"},
			"start": {strconv.FormatInt(since.UnixMicro(), 10)}, "end": {strconv.FormatInt(time.Now().UnixMicro(), 10)},
		}
		var found answer
		if err := ask(jaeger+"/api/traces?"+query.Encode(), &found); err != nil {
			return nil, err
		}
		for _, s := range found.spans() {
			if !seen[s.id] {
				seen[s.id] = true
				all = append(all, s)
			}
		}
	}
	return all, nil
}

func ask(address string, into any) error {
	response, err := http.Get(address) //nolint:gosec // the URL is the user's
	if err != nil {
		return err
	}
	defer response.Body.Close() //nolint:errcheck // what matters was read
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", address, response.Status)
	}
	return json.NewDecoder(response.Body).Decode(into)
}

func (a *answer) spans() (all []span) {
	for _, trace := range a.Data {
		for _, s := range trace.Spans {
			found := span{
				id: s.SpanID, trace: s.TraceID, service: trace.Processes[s.ProcessID].ServiceName, operation: s.OperationName,
				began: time.Duration(s.StartTime) * time.Microsecond, took: time.Duration(s.Duration) * time.Microsecond,
			}
			for _, reference := range s.References {
				if reference.RefType == "CHILD_OF" {
					found.parent = reference.SpanID
				}
			}
			for _, tag := range s.Tags {
				text, _ := tag.Value.(string)
				switch tag.Key {
				case "span.kind":
					found.kind = text
				case "url.path", "url.full", "db.query.text":
					found.target = text
				case "socketflow.parent.source":
					found.evidence = text
				}
			}
			all = append(all, found)
		}
	}
	return all
}
