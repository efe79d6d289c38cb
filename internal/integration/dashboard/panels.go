package dashboard

// row is a part of the dashboard.
type row struct {
	title  string
	panels []panel
}

// panel is a diagram.
type panel struct {
	title, unit string
	queries     []query
}

// query is one in PromQL, and how its series are called.
type query struct{ expr, legend string }

// rows are the dashboard. $service is a regular expression for service.name, which Prometheus has as job.
var rows = []row{
	{"Services", []panel{
		{"Requests a second, HTTP", "reqps", []query{
			{`sum by (job) (rate(http_server_request_duration_seconds_count{job=~"$service"}[$__rate_interval]))`, "{{job}}"},
		}},
		{"Failed requests, HTTP", "percentunit", []query{
			{`sum by (job) (rate(http_server_request_duration_seconds_count{job=~"$service", error_type!=""}[$__rate_interval]))` +
				` / sum by (job) (rate(http_server_request_duration_seconds_count{job=~"$service"}[$__rate_interval]))`, "{{job}}"},
		}},
		{"Duration, HTTP", "s", []query{
			{`histogram_quantile(0.5, sum by (le, job) (rate(http_server_request_duration_seconds_bucket{job=~"$service"}[$__rate_interval])))`, "{{job}}, median"},
			{`histogram_quantile(0.99, sum by (le, job) (rate(http_server_request_duration_seconds_bucket{job=~"$service"}[$__rate_interval])))`, "{{job}}, 99 %"},
		}},
		{"Requests a second, by status", "reqps", []query{
			{`sum by (http_response_status_code) (rate(http_server_request_duration_seconds_count{job=~"$service"}[$__rate_interval]))`, "{{http_response_status_code}}"},
		}},
		{"Calls a second, gRPC", "reqps", []query{
			{`sum by (job, rpc_method, rpc_response_status_code) (rate(rpc_server_call_duration_seconds_count{job=~"$service"}[$__rate_interval]))`,
				"{{job}} {{rpc_method}} {{rpc_response_status_code}}"},
		}},
		{"Duration of what services ask, 99 %", "s", []query{
			{`histogram_quantile(0.99, sum by (le, job, server_address) (rate(http_client_request_duration_seconds_bucket{job=~"$service"}[$__rate_interval])))`, "{{job}} → {{server_address}}"},
			{`histogram_quantile(0.99, sum by (le, job, server_address) (rate(db_client_operation_duration_seconds_bucket{job=~"$service"}[$__rate_interval])))`, "{{job}} → {{server_address}}"},
		}},
		{"Database operations a second", "ops", []query{
			{`sum by (job, db_operation_name) (rate(db_client_operation_duration_seconds_count{job=~"$service"}[$__rate_interval]))`, "{{job}} {{db_operation_name}}"},
		}},
		{"DNS lookups a second", "reqps", []query{
			{`sum by (job, socketflow_dns_response_code) (rate(dns_lookup_duration_seconds_count{job=~"$service"}[$__rate_interval]))`, "{{job}} {{socketflow_dns_response_code}}"},
		}},
		{"Requests a second, between services", "reqps", []query{
			{`sum by (client, server) (rate(traces_service_graph_request_total[$__rate_interval]))`, "{{client}} → {{server}}"},
		}},
	}},
	{"Connections", []panel{
		{"Open", "short", []query{
			{`sum by (job, service_peer_name) (socketflow_connection_count{job=~"$service", socketflow_role_name="client"})`, "{{job}} → {{service_peer_name}}"},
		}},
		{"Opened a second", "ops", []query{
			{`sum by (job, socketflow_role_name) (rate(socketflow_connection_opened_total{job=~"$service"}[$__rate_interval]))`, "{{job}}, {{socketflow_role_name}}"},
		}},
		{"Failed attempts a second", "ops", []query{
			{`sum by (job, server_port, error_type) (rate(socketflow_connection_failed_total{job=~"$service"}[$__rate_interval]))`, "{{job}} port {{server_port}} {{error_type}}"},
		}},
		{"Time to connect, 99 %", "s", []query{
			{`histogram_quantile(0.99, sum by (le, job) (rate(socketflow_connection_connect_duration_seconds_bucket{job=~"$service"}[$__rate_interval])))`, "{{job}}"},
		}},
		{"Bytes a second", "Bps", []query{
			{`sum by (job) (rate(socketflow_connection_bytes_sent_total{job=~"$service"}[$__rate_interval]))`, "{{job}}, sent"},
			{`sum by (job) (rate(socketflow_connection_bytes_received_total{job=~"$service"}[$__rate_interval]))`, "{{job}}, received"},
		}},
		{"Retransmitted segments", "percentunit", []query{
			{`sum by (job) (rate(socketflow_tcp_retransmits_total{job=~"$service"}[$__rate_interval])) / sum by (job) (rate(socketflow_tcp_segments_sent_total{job=~"$service"}[$__rate_interval]))`, "{{job}}"},
		}},
		{"Round trip time, median", "s", []query{
			{`histogram_quantile(0.5, sum by (le, job) (rate(socketflow_tcp_rtt_seconds_bucket{job=~"$service"}[$__rate_interval])))`, "{{job}}"},
		}},
		{"What comes before a connection's first request, 99 %", "s", []query{
			{`histogram_quantile(0.99, sum by (le, job) (rate(socketflow_connection_lookup_duration_seconds_bucket{job=~"$service"}[$__rate_interval])))`, "{{job}}, DNS"},
			{`histogram_quantile(0.99, sum by (le, job, socketflow_role_name) (rate(socketflow_tls_handshake_duration_seconds_bucket{job=~"$service"}[$__rate_interval])))`, "{{job}}, TLS, {{socketflow_role_name}}"},
			{`histogram_quantile(0.99, sum by (le, job) (rate(socketflow_connection_accept_duration_seconds_bucket{job=~"$service"}[$__rate_interval])))`, "{{job}}, to be accepted"},
		}},
	}},
	{"The receiver", []panel{
		{"Seen of what is known to have been there", "percentunit", []query{{`avg by (job) (socketflow_observed_ratio{job=~"$service"})`, "{{job}}"}}},
		{"Requests a second, by protocol", "reqps", []query{{`sum by (protocol) (rate(otelcol_socketflow_exchanges[$__rate_interval]))`, "{{protocol}}"}}},
		{"Events lost a second", "ops", []query{{`sum by (kind) (rate(otelcol_socketflow_kernel_events_lost[$__rate_interval]))`, "{{kind}}"}}},
		{"Items refused a second", "ops", []query{{`sum by (signal) (rate(otelcol_socketflow_items_refused[$__rate_interval]))`, "{{signal}}"}}},
		{"Series", "short", []query{
			{`sum by (instance) (otelcol_socketflow_series)`, "{{instance}}"},
			{`sum by (instance) (increase(otelcol_socketflow_series_overflowed[$__rate_interval]))`, "{{instance}}, measurements without room"},
		}},
		{"Sockets and processes that are followed", "short", []query{
			{`sum by (instance) (otelcol_socketflow_sockets_tracked)`, "{{instance}}, sockets"},
			{`sum by (instance) (otelcol_socketflow_processes_tracked)`, "{{instance}}, processes"},
		}},
	}},
}
