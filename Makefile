# make check is all that CI runs.

GO   ?= go
LINT  = $(GO) run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0

# Packages with goroutines, or for callers with several. The pure ones have none
# (tests/tidy sees to that), and under the race detector the tests of package host
# take 13 times as long.
RACE = ./client/... ./host/engine/... ./host/local/... ./host/node/... ./ordering/... \
       ./snapshot/paging/... ./snapshot/store/... ./snapshot/transfer/... ./tests/e2e/...

# What proves that arm64 comes to the same bytes, under QEMU's emulation of one process, which
# makes no userfaultfd and no holes: trackers that need them are not run.
ARM64     = GOARCH=arm64 CGO_ENABLED=0 $(GO) test -exec qemu-aarch64-static -timeout 10m

.PHONY: check test race arm64 guests-check lint fmt bench fuzz demo

# The linter comes last, so that what it has to say hides no test.
check: test race arm64 guests-check lint

test:
	$(GO) test -timeout 30m ./...

race:
	CGO_ENABLED=1 $(GO) test -race -timeout 30m $(RACE)

# Skipped without the emulator, unless LOCKSTEP_ARM64 is set.
arm64:
	@if ! command -v qemu-aarch64-static >/dev/null; then \
	  if [ -n "$$LOCKSTEP_ARM64" ]; then echo "qemu-aarch64-static is missing"; exit 1; fi; \
	  echo "arm64: not run, needs qemu-aarch64-static (Debian: qemu-user-static)"; exit 0; \
	fi; set -e; \
	$(ARM64) ./audit/... ./ordering ./snapshot ./snapshot/archive ./wasmabi ./host/epochs ./tests/spec; \
	$(ARM64) -run '^Test(Digests|BranchMiscompile|SelectMiscompile|Remainder|Gas|NaN|NaNFlow|DataDrop|SameBytes|StateIsExposed|BulkSlices)$$' ./wasmabi/instrument; \
	$(ARM64) -run '^Test(Kind|ConfigValidate|CacheDamaged|Module|Clock|WASI.*)$$' ./host/engine; \
	$(ARM64) -run '^Test(ReplayRoot|Vectors)$$' ./tests/differential; \
	$(ARM64) -run '^TestEnginesAlike$$' ./tests/hostile

# Builds the guests of all languages again and compares; the tests with the tag
# toolchains build what is not committed. Skips languages without a compiler, unless
# LOCKSTEP_TOOLCHAINS=all.
guests-check:
	./guests/check.sh
	if [ "$$LOCKSTEP_TOOLCHAINS" = all ]; then \
	  $(GO) test -tags toolchains -timeout 30m ./tests/languages -statements 5000 && \
	  $(GO) test -tags toolchains -timeout 30m -run TestNewProjects ./cmd/lockstep && \
	  $(GO) test -tags toolchains -timeout 30m -run TestTutorials ./tests/newcomer; \
	fi

# go vet is one of its linters.
lint:
	$(LINT) run

fmt:
	gofmt -w .

# Compare two runs of `make bench COUNT=10 >FILE` with benchstat.
COUNT ?= 1
bench:
	$(GO) test -run '^$$' -bench . -benchmem -count $(COUNT) ./...

# Each fuzz target for a short while. What they find is kept under the
# package's testdata/fuzz, to be committed. An input that is new is made small for a few
# runs only: by default that takes a minute, in which a target of large inputs did nothing else.
FUZZTIME ?= 10s
fuzz:
	@set -e; for p in $$($(GO) list ./...); do \
	  for f in $$($(GO) test -list '^Fuzz' $$p | grep '^Fuzz' || true); do \
	    echo "$$p $$f"; $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x $$p; \
	  done; \
	done

demo:
	$(GO) run ./cmd/lockstep demo
