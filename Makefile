# Everything that a newcomer or CI needs: "make" lists the targets. Needed beforehand: Go, a C compiler, make.
SHELL := /bin/bash
.DEFAULT_GOAL := help

export GOFLAGS := -buildvcs=false -tags=duckdb_arrow
export CGO_ENABLED := 1

TOOLS := $(CURDIR)/.tools
BIN := $(CURDIR)/bin
PLUGINS := $(filter-out internal,$(notdir $(wildcard plugins/*)))

GOLANGCI_VERSION := v2.15.0
MINIO_VERSION := v0.0.0-20260212201848-7aac2a2c5b7c

export QANAT_TEST_DATA ?= $(abspath ../shared/data)
export QANAT_MINIO := $(TOOLS)/minio

.PHONY: help build demo test test-crash test-short fuzz-short bench lint fmt gen check-gen tools postgres clean

help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## build qanat and its plugins into bin/
	@mkdir -p $(BIN)/plugins
	go build -o $(BIN)/qanat ./cmd/qanat
	go build -o $(BIN)/plugins/ $(addprefix ./plugins/,$(PLUGINS))

demo: build ## run the example pipeline on embedded servers and query its result
	@rm -rf demo && cp -r specs/examples/shop demo
	@cd demo && QANAT_PLUGINS=$(BIN)/plugins $(BIN)/qanat run shop
	@echo
	@cd demo && QANAT_PLUGINS=$(BIN)/plugins $(BIN)/qanat query "select day, country, orders, revenue from curated.shop.daily order by revenue desc limit 10"

test: lint check-gen build tools fuzz-short ## install what is missing and run everything
	go test -tags=duckdb_arrow,minio -count=1 -timeout 60m $$(go list ./... | grep -v /e2e)
	go test -count=1 -p 1 -timeout 60m ./e2e/...

test-crash: build tools ## kill everything everywhere, make all surroundings sick, and compare; see e2e/README.md
	report=$$(mktemp) && QANAT_SLOW=1 QANAT_CRASH_REPORT=$$report go test -count=1 -parallel 4 -timeout 90m ./e2e/crash; status=$$?; \
	cat $$report; rm -f $$report; test $$status = 0
	QANAT_SLOW=1 go test -count=1 -timeout 30m -run Killed ./plugins/source-postgres
	QANAT_SLOW=1 go test -count=1 -v -timeout 60m ./e2e/mutants
	QANAT_SLOW=1 go test -count=1 -timeout 120m ./e2e

test-short: ## unit tests only, without linters and servers of others
	go test -short ./core/... ./internal/... ./sdk/... ./registry/... ./specs/... ./plugins/... ./cmd/...

fuzz-short: ## run every fuzz target for a moment; FUZZ_SECONDS=3600 searches longer
	@.ci/fuzz

bench: build postgres ## measure the plugin hop, generator to landing, PostgreSQL to landing; see e2e/bench/RESULTS.md
	go test -run '^$$' -bench 'Hop' -benchtime 3x ./core/pluginhost
	go test -run '^$$' -bench 'GeneratorToLanding' -benchtime 3x ./core/flow
	go test -run '^$$' -bench . -benchtime 1x -timeout 60m ./e2e/bench

lint: $(TOOLS)/golangci-lint-$(GOLANGCI_VERSION) ## run the linters
	$(TOOLS)/golangci-lint-$(GOLANGCI_VERSION) run ./...

fmt: ## format the code
	gofmt -w $(shell git ls-files '*.go')

gen: ## generate code, schemas and what plugins say in their READMEs
	go run ./specs/proto/gen
	go generate ./...
	@$(MAKE) --no-print-directory build
	@for p in $$(grep -l 'described by the plugin' plugins/*/README.md | xargs -n 1 dirname | xargs -n 1 basename); do \
	  $(BIN)/qanat plugin describe $(BIN)/plugins/$$p --readme plugins/$$p/README.md; done

check-gen: ## check that what is generated is current
	go run ./specs/proto/gen -check

tools: $(TOOLS)/minio postgres ## install the servers that tests need

# Debian's packages, unless there is a server: at QANAT_POSTGRES_BIN, in the path, or where Debian puts it.
postgres:
	@test -x "$${QANAT_POSTGRES_BIN:-/nowhere}/initdb" || command -v initdb >/dev/null || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || { \
	  as=; test "$$(id -u)" = 0 || as=sudo; \
	  command -v apt-get >/dev/null && { test -z "$$as" || command -v sudo >/dev/null; } && \
	  $$as apt-get update && $$as apt-get install -y postgresql postgresql-contrib || { \
	    echo "tests need a PostgreSQL server (initdb, postgres): install one, or set QANAT_POSTGRES_BIN to the folder of its binaries" >&2; exit 1; }; }

clean: ## remove what was built
	rm -rf bin demo .tools

$(TOOLS)/golangci-lint-$(GOLANGCI_VERSION):
	@mkdir -p $(TOOLS)
	GOFLAGS=-buildvcs=false GOBIN=$(TOOLS) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION)
	mv $(TOOLS)/golangci-lint $@

$(TOOLS)/minio: $(TOOLS)/minio-$(MINIO_VERSION)
	ln -sf minio-$(MINIO_VERSION) $@

$(TOOLS)/minio-$(MINIO_VERSION):
	@mkdir -p $(TOOLS)
	GOFLAGS=-buildvcs=false GOBIN=$(TOOLS) go install github.com/minio/minio@$(MINIO_VERSION)
	mv $(TOOLS)/minio $@
