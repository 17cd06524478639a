# The menu. Each entry is complete on a bare Debian 12: as root it installs the packages it lacks and says so
# first; without root it prints the one apt-get line to run. CMake and its presets do the work.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := menu
.PHONY: menu build test demo check fix asan tsan soak crash simulate fuzz mutants bench docs clean deps
ARGS ?=
ONLY ?=
SECONDS_EACH ?= 30
SECONDS ?= 600
KILLS ?= 200
SEED ?=
PRESET ?= $(if $(findstring --large,$(ARGS)),release,asan)

menu: ## show this menu
	@echo "EasyEnclave control plane"
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

deps:
	@scripts/deps.sh build

build: deps ## build the three programs into build/release/bin/
	@scripts/build.sh release easyenclave-control easyenclave-agent eectl

test: deps ## build everything and run every test
	@scripts/build.sh release
	@scripts/test.sh release $(ARGS)

demo: build ## run it all on this machine: simulated TDX, control plane, agent, backend (ARGS=--once to end by itself)
	@scripts/demo.sh $(ARGS)

check: deps ## format, clang-tidy, layers, style, generated docs, then the tests
	@scripts/deps.sh check
	@scripts/build.sh release
	@scripts/check.sh
	@scripts/test.sh release

fix: deps ## format the code and renew what is generated
	@scripts/deps.sh check
	@scripts/check.sh --fix

asan: deps ## every test under AddressSanitizer and UBSan
	@scripts/build.sh asan
	@scripts/test.sh asan $(ARGS)

tsan: deps ## every test under ThreadSanitizer
	@scripts/build.sh tsan
	@scripts/test.sh tsan $(ARGS)

soak: deps ## a mixed load for SECONDS=600 while agents die, under PRESET=asan, tsan or release (ARGS=--large: 20 GiB bodies)
	@scripts/build.sh $(PRESET) easyenclave-control easyenclave-agent eectl
	@EE_BIN_DIR=$(CURDIR)/build/$(PRESET)/bin /usr/bin/python3 tests/soak/run.py --seconds $(SECONDS) $(ARGS)

simulate: deps ## the ledger against its model, new seeds for ever (SEED=42: that one alone; ARGS="--steps 2000")
	@scripts/build.sh release ledger_simulation
	@build/release/bin/ledger_simulation $(if $(SEED),--from $(SEED) --seeds 1,--from $$(date +%s)0000 --seeds 0) $(ARGS)

crash: deps ## kill -9 the control plane KILLS=200 times under load: no acknowledged write is lost or doubled (SEED=n)
	@scripts/build.sh release easyenclave-control eectl
	@/usr/bin/python3 tests/crash/run.py --kills $(KILLS) $(if $(SEED),--seed $(SEED)) $(ARGS)

fuzz: deps ## each fuzz target for SECONDS_EACH=30 (ONLY=name for one)
	@scripts/deps.sh fuzz
	@scripts/build.sh fuzz fuzz_targets
	@scripts/fuzz.sh $(SECONDS_EACH) $(ONLY)

mutants: deps ## take the checks of verifier, ledger and protocol readers out, turn routing's decisions, one by one: each time a test must fail (ARGS="--only certificate")
	@tests/mutants/mutants.py $(ARGS)

bench: deps ## benchmarks as ratios in one run, into build/bench/results.json (ONLY=name for one)
	@scripts/deps.sh bench
	@scripts/build.sh bench easyenclave-control easyenclave-agent eectl tunnel_load attestation_bench ledger_bench routing_bench ledger_load ledger_scale
	@/usr/bin/python3 bench/run.py $(if $(ONLY),--only $(ONLY)) $(ARGS)

docs: deps ## write docs/configuration.md from the settings table
	@scripts/build.sh release ee_config_docs
	@build/release/bin/ee_config_docs > docs/configuration.md
	@echo "docs/configuration.md is written"

clean: ## remove build/
	@rm -rf build
