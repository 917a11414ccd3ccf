# make check is all that CI runs.

GO       ?= go
LINT      = $(GO) run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0

# Packages whose tests are worth their price under the race detector: those
# with goroutines of their own.
RACE = ./client/... ./host/node/... ./host/local/... ./ordering/... ./snapshot/... ./tests/e2e/...

.PHONY: check test race lint fmt bench fuzz demo

check: lint test race

test:
	$(GO) test ./...

race:
	$(GO) test -race $(RACE)

lint:
	$(GO) vet ./...
	$(LINT) run

fmt:
	gofmt -w .

bench:
	$(GO) test -run '^$$' -bench . -benchmem ./...

# Each fuzz target for a short while.
FUZZTIME ?= 10s
fuzz:
	@for p in $$($(GO) list ./...); do \
	  for f in $$($(GO) test -list '^Fuzz' $$p | grep '^Fuzz' || true); do \
	    echo "$$p $$f"; $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) $$p || exit 1; \
	  done; \
	done

demo:
	$(GO) run ./cmd/lockstep demo
