// Package e2e holds the end-to-end tests: the collector that `make build` makes, real programs, and a real Jaeger.
//
//	make e2e
//	cd internal/integration && go test -tags=e2e ./e2e/... # the same, with what is in _build
//
// They need root, and _build/otelcol-socketflow or the program that SOCKETFLOW_COLLECTOR names. A test skips if something is
// missing, except where CI=true: there it fails. All traffic is on the loopback interface.
package e2e
