# Everything a person does here is a target; `make help` lists them. CI runs .ci/run, which calls the same targets.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

COLLECTOR := _build/otelcol-socketflow
TOOL := go tool -modfile=internal/tools/go.mod
LINT := go tool -modfile=internal/tools/lint/go.mod golangci-lint
# $(call go_test,<flags>,<packages>). With REPEATED=<directory>, as in CI, a test that failed is run once more, by itself, and a file there
# names it; unless many failed, or one panicked or raced.
go_test = $(if $(REPEATED),$(GOTESTSUM) --packages="$(2)" -- $(1),go test $(1) $(2))
GOTESTSUM = go tool -modfile=$(CURDIR)/internal/tools/test/go.mod gotestsum --format=standard-verbose --hide-summary=all \
	--rerun-fails=1 --rerun-fails-run-root-test --rerun-fails-max-failures=6 --rerun-fails-abort-on-data-race \
	--rerun-fails-report="$$(mktemp -p '$(REPEATED)')"
# The tests against a whole host, and the benchmarks, are a module of their own: their dependencies are in no user's build.
INTEGRATION := internal/integration

# Observing the host takes root, or CAP_BPF and CAP_PERFMON.
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

RUNFLAGS ?=
SERVICE ?=
PORT ?=
STATUS ?=
SLOWER_THAN ?=
# What `make run` gives the collector: which lines it is to print, as conditions of the console.
CONSOLE = --config examples/requests.yaml $(CHOICE) $(RUNFLAGS)
CHOICE = $(foreach key,service port status,$(if $($(key)_wanted),'--set=exporters::console::include::$(key)=[$($(key)_wanted)]')) \
	$(if $(SLOWER_THAN),'--set=exporters::console::include::slower_than=$(SLOWER_THAN)')
service_wanted = $(SERVICE)
port_wanted = $(PORT)
status_wanted = $(STATUS)
TESTFLAGS ?=
REPEATED ?=
BENCHFLAGS ?=
KERNELFLAGS ?=
FUZZTIME ?= 10s
SOAK_DURATION ?= 2h
REQUESTS ?= 100000
SOAK_DIR ?=
SOAKFLAGS ?=
CAUSALITYFLAGS ?=
ALL ?=
CROSS := linux/arm64 darwin/arm64 windows/amd64
GENERATED := exporter/console/generated_*.go exporter/console/documentation.md exporter/console/README.md exporter/console/internal \
	bpf/*_bpfel.go bpf/*_bpfel.o receiver/generated_*.go receiver/documentation.md receiver/README.md \
	receiver/internal/metadata receiver/internal/metadatatest packaging/grafana/socketflow.json docs/config.schema.json docs/all-keys.yaml

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: $(COLLECTOR) ## build the collector with this receiver: _build/otelcol-socketflow (minutes the first time)

$(COLLECTOR): builder-config.yaml go.mod go.sum internal/tools/go.sum \
		$(shell find bpf exporter internal receiver \( -name testdata -o -path $(INTEGRATION) \) -prune -o \( -name '*.go' ! -name '*_test.go' -o -name '*.o' \) -print)
	$(TOOL) builder --config builder-config.yaml
	@touch $@

.PHONY: run
run: ## build the collector, and print this host's requests (SERVICE=nginx PORT=80 STATUS=error SLOWER_THAN=100ms: only these; RUNFLAGS)
	@[ -e $(COLLECTOR) ] || echo 'The first build takes minutes: it downloads the collector, and compiles it.'
	@$(MAKE) --silent build
	@$(SUDO) ./$(COLLECTOR) $(CONSOLE)

.PHONY: print-run
print-run: # for .ci/readme: what `make run` gives the collector, to be validated
	@echo '$(subst ','\'',$(CONSOLE))'

.PHONY: demo
demo: ## examples/shop with a Jaeger, a Prometheus and orders, until Ctrl-C (root; minutes the first time)
	@[ -e $(COLLECTOR) ] || echo 'The first build takes minutes: it downloads the collector, and compiles it.'
	@$(MAKE) --silent build
	@$(SUDO) env "PATH=$$PATH" examples/shop/run --demo

.PHONY: jaeger
jaeger: ## build a Jaeger (minutes the first time), and run it: http://127.0.0.1:16686, OTLP on port 4317
	jaeger=$$(internal/tools/jaeger/build.sh) && SOCKETFLOW_JAEGER_UI="$${jaeger%/*}/ui" exec "$$jaeger" --config internal/tools/jaeger/jaeger.yaml

.PHONY: test
test: deps ## all tests with the race detector; those that need root say so and skip without it
	$(call go_test,-race $(TESTFLAGS),./...)
	cd $(INTEGRATION) && $(call go_test,-race $(TESTFLAGS),$$(go list ./... | grep -v '/receiver$$'))
	@# They read files outside of their module, of which Go's cache of results does not know when they change.
	cd $(INTEGRATION) && $(call go_test,-count=1 $(TESTFLAGS),./configschema ./dashboard ./documents)
	@# Against loads of this host, which are exact only as long as the receiver keeps up: the race detector slows it too much.
	cd $(INTEGRATION) && $(call go_test,-count=1 $(TESTFLAGS),./receiver)

.PHONY: e2e
e2e: deps build ## the collector, a real Jaeger and a real workload
	cd $(INTEGRATION) && $(call go_test,-tags=e2e -count=1 -timeout=20m $(TESTFLAGS),./e2e/...)

.PHONY: screenshots
screenshots: build ## run examples/shop, and have a browser make the pictures of Jaeger in docs/images (root)
	.ci/deps screenshots
	mkdir -p docs/images
	cd $(INTEGRATION) && SOCKETFLOW_SCREENSHOTS=$(CURDIR)/docs/images go test -tags=e2e -count=1 -v $(TESTFLAGS) -run='^TestShop$$' ./e2e

.PHONY: test-kernels
test-kernels: ## the privileged tests on some of Debian's kernels, emulated (minutes; all of them: ALL=1; KERNELFLAGS='-kernels 5.10')
	.ci/deps kernels
	go build -C $(INTEGRATION) -o "$$PWD/_build/vmtest" ./vmtest
	_build/vmtest $(if $(ALL),-all) $(KERNELFLAGS)

.PHONY: packaging
packaging: build ## check the systemd unit, the manifests and the image (root)
	.ci/deps packaging
	.ci/packaging

.PHONY: check
check: ## what this host and these privileges allow, hook by hook
	$(SUDO) $$(command -v go) run ./cmd/socketflow-check

.PHONY: release
release: ## socketflow-check and socketflow as static programs for linux/amd64 and arm64, with checksums: _build/release
	.ci/release

.PHONY: packages
packages: ## deb and rpm packages of the collector for amd64 and arm64, with bills of materials: _build/packages (minutes)
	.ci/packages

.PHONY: bench
bench: build ## what observing costs, as ratios (less than half an hour; BENCHFLAGS="-only data,replay" measures less)
	.ci/deps bench
	go build -C $(INTEGRATION) -o "$$PWD/_build/bench" ./bench
	_build/bench $(BENCHFLAGS)

.PHONY: truth
truth: deps build ## metrics against what was sent, REQUESTS (100000) each of HTTP/1, HTTP/2, gRPC and Redis, as Prometheus has them (root)
	cd $(INTEGRATION)/e2e && SOCKETFLOW_TRUTH=$(REQUESTS) go test -tags e2e -count=1 -timeout 2h -v -run 'TestPrometheusScrapesTheTruth|TestMetricsOfProtocolsAreTheTruth' .

.PHONY: soak
soak: deps build ## mixed load with restarts, reloads, floods and a stalled backend: SOAK_DURATION (2h), SOAK_DIR for samples and logs
	go build -C $(INTEGRATION) -o "$$PWD/_build/soak" ./soak
	nice -n 15 _build/soak -duration $(SOAK_DURATION) -dir "$(SOAK_DIR)" $(SOAKFLAGS)

.PHONY: causality
causality: build ## how many causes within programs of each runtime are found, and right (root; CAUSALITYFLAGS="-quick -runtimes go,node" does less)
	.ci/deps causality
	go build -C $(INTEGRATION) -o "$$PWD/_build/causality" ./causality
	_build/causality $(CAUSALITYFLAGS)

.PHONY: fuzz
fuzz: ## every fuzz target for FUZZTIME (10s; 20000x is so many inputs, none of them minimised)
	.ci/fuzz $(FUZZTIME)

.PHONY: lint
lint: ## golangci-lint, and whether go.mod is tidy
	$(LINT) run
	root=$$PWD && cd $(INTEGRATION) && go tool -modfile="$$root/internal/tools/lint/go.mod" golangci-lint run --config "$$root/.golangci.yml"
	go mod tidy -diff
	cd $(INTEGRATION) && go mod tidy -diff

.PHONY: generate
generate: ## regenerate the kernel programs, the component metadata, the dashboard, and the schema of the configuration
	.ci/deps generate
	BPF2GO_CFLAGS="-I/usr/include/$$(uname -m)-linux-gnu" go generate ./bpf
	go generate ./receiver ./exporter/console
	cd $(INTEGRATION) && go run ./dashboard/generate
	cd $(INTEGRATION) && go run ./configschema/generate

.PHONY: check-generate
check-generate: generate ## fail if what is generated differs from what is committed
	@git diff --exit-code --stat -- $(GENERATED) || { echo 'run "make generate" and commit the result'; exit 1; }
	@new=$$(git ls-files --others --exclude-standard -- $(GENERATED)); \
		[ -z "$$new" ] || { echo "generated, and not committed:"; echo "$$new"; exit 1; }

.PHONY: cross
cross: ## vet for the other systems, and build what ships for linux/arm64
	@# Vet has the type checker look at everything, tests too; a build of everything would find no more.
	@for target in $(CROSS); do \
		echo "$$target"; \
		CGO_ENABLED=0 GOOS=$${target%/*} GOARCH=$${target#*/} go vet ./...; \
	done
	cd $(INTEGRATION) && CGO_ENABLED=0 GOOS=linux GOARCH=arm64 go vet ./...
	CGO_ENABLED=0 GOOS=linux GOARCH=arm64 go build -o /dev/null ./cmd/socketflow-check
	CGO_ENABLED=0 GOOS=linux GOARCH=arm64 go build -o /dev/null ./cmd/socketflow
	CGO_ENABLED=0 GOOS=linux GOARCH=arm64 go build ./receiver

.PHONY: validate-examples
validate-examples: build ## have the collector check every example
	@for example in examples/*.yaml examples/*/collector.yaml docs/all-keys.yaml; do \
		echo "$$example"; \
		./$(COLLECTOR) validate --config "$$example"; \
	done
	./$(COLLECTOR) validate --config examples/shop/collector.yaml --config examples/shop/metrics.yaml

.PHONY: readme
readme: ## build the collector that the README describes, and have it check the README's configuration
	.ci/readme

.PHONY: deps
deps: ## install what the tests need, where that is possible: as root on Debian or Ubuntu
	@.ci/deps test

.PHONY: clean
clean: ## remove what was built
	rm -rf _build
