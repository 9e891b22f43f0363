# Everything needs Go, make and a Docker engine; plain make lists the targets.
# What make test needs beyond that, .ci/needs installs or names.

VERSION := $(shell git describe --always --dirty --tags 2>/dev/null || echo dev)
# Packages of make test and make soak, and which tests of them.
PKG ?= ./...
RUN ?= .
# How many random faults make soak puts a cluster through.
ROUNDS ?= 300

# What of the image can be chosen; see Dockerfile.
export BASE MAJORS JIT APT_SOURCE
# KEEP=1 make demo leaves the demo's containers running.
export KEEP

SHELL := /bin/bash
.DELETE_ON_ERROR:
.PHONY: help build image official needs test lint bench bench-peers soak demo demo-upgrade docs clean

help: ## print this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# grpcnotrace leaves golang.org/x/net/trace out, whose packages cost PID 1 memory.
build: ## build the static binary bin/pgbaton
	CGO_ENABLED=0 go build -trimpath -buildvcs=false -tags grpcnotrace -ldflags "-s -w -X main.version=$(VERSION)" -o bin/pgbaton .

image: build ## build the image pgbaton:dev and its tags :15 :17 :18 (BASE, MAJORS, JIT, APT_SOURCE)
	@image/build.sh pgbaton

official: ## build pgbaton-official:15 :17 :18, the layout of the official images, for tests and benchmark
	@image/build.sh official

# First of all, and so that nothing is built when it fails.
needs:
	@.ci/needs

test: needs ## run all tests, as CI does (PKG, RUN choose); installs what it needs, as root
	@$(MAKE) --no-print-directory image official .build/testreport
	@set -o pipefail; CGO_ENABLED=1 go test -json -race -count=1 -p 2 -timeout 45m -run '$(RUN)' $(PKG) 2>&1 \
		| tee .build/test.json | .build/testreport -skips .ci/skips

lint: .build/golangci-lint ## check style, formatting and import directions
	.build/golangci-lint run --allow-parallel-runners ./...

bench: image official ## measure a node, upgrades and changes of roles (BENCH="-only roles -switchovers 50")
	go run ./internal/testbed/bench $(BENCH)

bench-peers: image ## measure changes of roles beside Patroni with etcd and vip-manager (BENCH="-peers-switchovers 50")
	@image/build.sh peers
	go run ./internal/testbed/bench -only peers $(BENCH)

soak: needs ## run the random crash tests for many rounds, up to 4 hours (PKG, RUN choose; ROUNDS of random faults)
	@$(MAKE) --no-print-directory image official
	PGBATON_SOAK=1 PGBATON_ROUNDS=$(ROUNDS) go test -count=1 -v -p 1 -timeout 4h -run '$(RUN)' $(PKG)

demo: image ## show a cluster of two with a VIP: switchover, primary killed, old one back; KEEP=1 leaves it running
	@image/demo.sh

demo-upgrade: image ## show one node on PostgreSQL 15 and its in-place upgrade to 17; KEEP=1 leaves it running
	@image/demo.sh -upgrade

docs: build ## regenerate docs/configuration.md
	bin/pgbaton config reference > docs/configuration.md

clean: ## remove what was built and what tests left: binaries, and by their label images, containers, volumes, networks
	rm -rf bin .build
	@image/clean.sh

# The linter is pinned in a module of its own and built once.
.build/golangci-lint: tools/go.mod tools/go.sum
	@echo "building the linter; this takes some minutes once"
	cd tools && go build -buildvcs=false -trimpath -o ../$@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint

.build/testreport: tools/testreport/main.go
	cd tools && go build -buildvcs=false -o ../$@ ./testreport
