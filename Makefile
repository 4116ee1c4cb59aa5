# Nusku. "make" alone lists what there is. A machine needs Go 1.26, make, bash, git and certificates (on a bare Debian:
# apt-get install make git ca-certificates); the rest is fetched when it is missing.

SHELL       := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS   += --no-print-directory

GO          ?= go
ARGS        ?=
FUZZTIME    ?= 10s
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.9.0
VULNFLAGS   ?=
UNCHECKED   := bin/unchecked
BRIEFLY     := $(if $(shell command -v timeout),timeout 20)

# The race detector needs a C compiler. Root gets one; nobody else has to have one to run the tests.
CC_FOUND = $(shell command -v "$$($(GO) env CC)" 2>/dev/null)
RACE     = $(if $(CC_FOUND),-race,)

.PHONY: help
help: ## List what there is (this)
	@printf '\nNusku, a WebSocket-first messaging gateway\n\n'
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@printf '\nStart with "make run". Flags go into ARGS: make run ARGS="--listen 127.0.0.1:9000 --log-level debug"\n\n'

.PHONY: run
run: postgres build ## Run the gateway, with a PostgreSQL of its own unless ARGS has --database-url
	@exec bin/nusku serve $(ARGS)

.PHONY: build
build: ## Build bin/nusku
	@mkdir -p bin
	$(GO) build -buildvcs=auto -trimpath -o bin/nusku ./cmd/nusku

.PHONY: test
test: postgres compiler clients ## Run every test, with the race detector, in random order
	$(if $(RACE),,@echo "no C compiler: the tests run without the race detector")
	$(GO) test $(RACE) -shuffle=on -timeout 15m ./... $(ARGS)

.PHONY: check
check: lint fuzz-short test summary ## Everything that must hold before a commit: lint, short fuzz runs, test

# What "make check" could not check is said at its end, where it is read.
.PHONY: summary
summary:
	@cat $(UNCHECKED) 2>/dev/null || true

.PHONY: lint
lint: fmt vet tidy staticcheck vuln ## gofmt, go vet, go mod tidy, staticcheck and known vulnerabilities

.PHONY: fmt
fmt:
	@files=$$(find . -name '*.go' -not -path './.*' -not -path '*/node_modules/*' -print0 | xargs -0 gofmt -l); \
	if [ -n "$$files" ]; then printf 'gofmt would change (gofmt -w mends it):\n%s\n' "$$files"; exit 1; fi

.PHONY: vet
vet:
	$(GO) vet ./...

.PHONY: tidy
tidy:
	$(GO) mod tidy -diff

.PHONY: staticcheck
staticcheck:
	$(GO) run $(STATICCHECK) ./...

.PHONY: vuln
vuln:
	@mkdir -p bin && rm -f $(UNCHECKED)
	@GOBIN="$(CURDIR)/bin" $(GO) install $(GOVULNCHECK)
	@# A scan of modules (from a folder with Go files) needs little but the database. Status 3 is a finding, for the full scan.
	@status=0; $(BRIEFLY) bin/govulncheck -C web -scan module $(VULNFLAGS) >/dev/null || status=$$?; \
	if [ $$status = 0 ] || [ $$status = 3 ]; then \
		bin/govulncheck $(VULNFLAGS) ./...; \
	else \
		echo "NOT CHECKED: known vulnerabilities. govulncheck cannot reach its database (vuln.go.dev, or the one in VULNFLAGS=-db=…)." | tee $(UNCHECKED); \
	fi

.PHONY: fuzz
fuzz: postgres ## Fuzz each target for FUZZTIME (10s)
	@targets=$$(grep -rHoE --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' ./cmd ./gateway ./notifier ./protocol ./store ./web | sort); \
	for target in $${targets// /:}; do \
		file=$${target%%:*}; name=$${target##*:}; \
		echo "fuzz $$name in $$(dirname "$$file") for $(FUZZTIME)"; \
		$(GO) test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) "$$(dirname "$$file")"; \
	done

.PHONY: fuzz-short
fuzz-short:
	@$(MAKE) fuzz FUZZTIME=5s

.PHONY: bench
bench: postgres build ## Measure this machine: posts, claims, fan-out, latency, memory (shorter: ARGS="--duration 1s")
	@for run in "post --reference" "claim --reference" "fanout --reference" "latency --reference" idle; do \
		printf '\n== nusku bench %s\n' "$$run"; \
		bin/nusku bench $$run $(ARGS); \
	done

.PHONY: postgres
postgres: ## Get PostgreSQL's programs if they are missing: as a package for root, else into the user's cache
	@$(GO) run ./store/pgserver/install

.PHONY: compiler
compiler:
	@if [ -z "$(CC_FOUND)" ] && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends gcc libc6-dev; \
	fi

# Clients that others wrote, for tests of the HTTP side. Root gets them; without them those tests are skipped and say so.
CLIENTS := curl python3-zaqarclient python3-openstackclient

.PHONY: clients
clients:
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && ! dpkg -s $(CLIENTS) >/dev/null 2>&1; then \
		apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends $(CLIENTS); \
	fi

.PHONY: clean
clean: ## Remove what was built here (never any data)
	rm -rf bin
