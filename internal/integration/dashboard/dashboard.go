// Package dashboard is the dashboard of packaging/grafana, as a table; `go run ./dashboard/generate` in internal/integration writes it.
package dashboard

import "encoding/json"

const (
	width  = 8 // of a panel; Grafana has 24
	height = 8
	all    = 24
)

// Queries are those of all panels, in PromQL but for Grafana's variables.
func Queries() (exprs []string) {
	for _, r := range rows {
		for _, p := range r.panels {
			for _, q := range p.queries {
				exprs = append(exprs, q.expr)
			}
		}
	}
	return exprs
}

type object = map[string]any

// JSON is the dashboard as Grafana imports it.
func JSON() ([]byte, error) {
	source := object{"type": "prometheus", "uid": "${datasource}"}
	var panels []object
	id, y := 0, 0
	for _, r := range rows {
		id++
		panels = append(panels, object{"id": id, "type": "row", "title": r.title, "gridPos": object{"x": 0, "y": y, "w": all, "h": 1}})
		y++
		for i, p := range r.panels {
			id++
			panels = append(panels, object{
				"id": id, "type": "timeseries", "title": p.title, "datasource": source,
				"gridPos":     object{"x": i * width % all, "y": y + i*width/all*height, "w": width, "h": height},
				"fieldConfig": object{"defaults": object{"unit": p.unit, "min": 0}, "overrides": []object{}},
				"targets":     targets(p.queries, source),
			})
		}
		y += (len(r.panels)*width + all - 1) / all * height
	}
	text, err := json.MarshalIndent(object{
		"title": "socketflow", "uid": "socketflow", "tags": []string{"socketflow"}, "schemaVersion": 39, "editable": true,
		"time": object{"from": "now-1h", "to": "now"}, "refresh": "30s", "panels": panels,
		"templating": object{"list": []object{
			{"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Data source"},
			{
				"name": "service", "type": "query", "label": "Service", "datasource": source, "includeAll": true, "allValue": ".*", "multi": true, "refresh": 2,
				"query": "label_values(socketflow_connection_opened_total, job)", "current": object{"text": "All", "value": "$__all"},
			},
		}},
	}, "", "  ")
	return append(text, '\n'), err
}

func targets(queries []query, source object) (all []object) {
	for i, q := range queries {
		all = append(all, object{"refId": string(rune('A' + i)), "expr": q.expr, "legendFormat": q.legend, "datasource": source})
	}
	return all
}
