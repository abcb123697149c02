# The commands of a working day. `make` alone lists them.

.DEFAULT_GOAL := help
.PHONY: help setup demo demo-fleet demo-fleet-local test test-faults test-kryoptic bench fuzz check

VENV := $(CURDIR)/target/interop-venv
FUZZ_SECONDS ?= 60

# What the demos are built with. PROFILE=dev shows the same at a lower speed; DEMO_BUILD=true builds nothing.
PROFILE ?= release
DEMO_BUILD = cargo build --profile $(PROFILE) --locked
demo demo-fleet demo-fleet-local: export COFFER_PROGRAMS = $(or $(CARGO_TARGET_DIR),target)/$(PROFILE:dev=debug)

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 18

setup: ## install what is missing (apt-get; asks sudo where not root)
	@.ci/install packages

demo: setup ## back up a real chat archive, lose the device, restore from the 64 digits and from a password
	$(DEMO_BUILD) -p coffer-client-cli -p coffer-vault-server
	deploy/demo.sh

FLEET := -p coffer-client-cli -p coffer-vault-server -p coffer-gateway

demo-fleet: setup ## five data centres as containers (needs Docker): two are lost, then a third, and all come back
	@.ci/install containers
	$(DEMO_BUILD) $(FLEET)
	deploy/demo-fleet.sh containers

demo-fleet-local: setup ## the same as processes
	$(DEMO_BUILD) $(FLEET)
	deploy/demo-fleet.sh local

# COFFER_TEST_PYTHON is the Python that has what tests/interop, tests/api and the clouds' tests import; without it they use
# python3.
test: export COFFER_TEST_PYTHON := $(VENV)/bin/python
test: setup $(VENV)/.ready ## all tests
	@.ci/install nextest
	cargo nextest run --workspace --locked $(if $(CI),--profile ci)

$(VENV)/.ready: client-cli/tests/clouds/requirements.txt tests/interop/requirements.txt tests/api/requirements.txt | setup
	python3 -m venv --clear $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check $(addprefix -r ,$^)
	touch $@

test-faults: setup ## five sites under every fault there is a test of (as root: it makes network namespaces); prunes and rotations killed and overtaken at every point
	@.ci/install faults nextest
	cargo build --locked -p coffer-vault-server
	cargo nextest run -p coffer-tests --test faults --locked --run-ignored all --no-fail-fast --success-output final
	COFFER_TEST_THOROUGHLY=1 cargo nextest run -p coffer-archive -p coffer-client-cli -p coffer-tests --locked --no-fail-fast -E 'test(prune_tests) | test(pruning) | test(rotating)'

# Which module the tests load; without it they fail and say so.
test-kryoptic: export COFFER_TEST_KRYOPTIC := $(CURDIR)/target/kryoptic/debug/libkryoptic_pkcs11.so
test-kryoptic: setup ## the HSM adapter on a second PKCS#11 token, kryoptic (no part of `make test`)
	@.ci/install kryoptic nextest
	cargo build --manifest-path tests/kryoptic/Cargo.toml --target-dir target/kryoptic --locked --package kryoptic
	cargo nextest run -p coffer-hsm-adapter --locked --run-ignored only kryoptic

bench: setup ## figures beside restic, borg, rustic, tar + zstd + age and a bare pipeline, and ninety days beside restic (BENCH_ARGS="--quick": 13 minutes)
	cargo build --release --locked -p coffer-client-cli
	cargo build --release --locked -p coffer-archive --example bare_pipeline
	python3 benches/peers.py $(BENCH_ARGS)
	python3 benches/ninety.py $(filter --quick,$(BENCH_ARGS))

fuzz: setup ## every fuzz target for FUZZ_SECONDS each (TARGET=name for one)
	cargo xtask fuzz --seconds $(FUZZ_SECONDS) $(TARGET)

check: ## format, lints, arrows: the fast part of CI
	@.ci/run --fast
