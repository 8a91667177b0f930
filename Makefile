# Bare `make` lists the targets. A fresh machine needs Python 3.11 or later and make, nothing else.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# The folders platform/ and graphql/ are not packages (ADR-0002): the working folder must not lead the import path.
export PYTHONSAFEPATH := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help setup demo up test check probes battery bench test-system schema docs licences audit lock clean

help: ## List the targets (目标清单)
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  \033[1m%-12s\033[0m %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP) ## Install everything into .venv, leaving .venv/bin/fenzhi (安装)

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed (PYTHON=… names another one)")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps -e .
	@touch $@

demo: setup ## The whole flow on a bare machine (演示): DATA=folder EXIT=1 JSON=out.json
	$(BIN)/fenzhi demo $(if $(DATA),--data '$(DATA)') $(if $(filter-out 0,$(EXIT)),--exit) $(if $(JSON),--json-out '$(JSON)')

up: setup ## Start the platform; Ctrl-C stops it (启动平台)
	$(BIN)/fenzhi up

test: setup ## All tests, on embedded servers (测试): ARGS='tests/rules -q'
	$(BIN)/python -m pytest $(ARGS)

check: setup ## Lint, format, types, arrows, chart, YAML (静态检查)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	PYTHONPATH=tests $(BIN)/python tests/chart_rendering.py
	$(BIN)/yamllint --strict .

probes: setup ## Every field and path as every role for every tenant (越权探测)
	$(BIN)/fenzhi probes --json

battery: setup ## The long battery (长时测试): SEED=1
	$(BIN)/python -m pytest -m battery $(ARGS)
	for section in tokens graphql idempotency delivery concurrency interference walls kills cuts rollouts clocks disk uploads submission fuzz audit canaries restore migrations; do \
	  $(BIN)/fenzhi battery $$section --seed $(or $(SEED),1) --json || exit $$?; done

bench: setup ## Speed beside its floors (性能测量): CASES=200000 SEED=1
	$(BIN)/fenzhi bench grouping --cases $(or $(CASES),200000) --seed $(or $(SEED),1) --json
	$(BIN)/fenzhi bench submission --cases $(or $(CASES),200000) --seed $(or $(SEED),1) --json
	$(BIN)/fenzhi bench clearing --cases $(or $(CASES),200000) --seed $(or $(SEED),1) --json
	$(BIN)/fenzhi bench catalog --cases $(or $(CASES),200000) --seed $(or $(SEED),1) --json

test-system: setup ## The tests on servers given by FENZHI_TEST_DATABASE_URL and FENZHI_TEST_REDIS_URL (外部服务测试)
	@test -n "$$FENZHI_TEST_DATABASE_URL" && test -n "$$FENZHI_TEST_REDIS_URL" || \
	  { echo "Set FENZHI_TEST_DATABASE_URL (a superuser's DSN) and FENZHI_TEST_REDIS_URL."; exit 2; }
	$(BIN)/python -m pytest $(ARGS)

schema: setup ## Write the committed GraphQL schema anew (导出接口定义)
	$(BIN)/python -m fenzhi_graphql.print_schema

docs: setup ## Write the generated pages: refusals, rule map, settings (生成文档)
	$(BIN)/python -m fenzhi.cli.documents docs

licences: setup ## Write docs/licences.md and the lock of images from the lock (许可证清单)
	$(BIN)/python tests/supply_chain.py licences

audit: setup ## Licences, known vulnerabilities, bill of materials in dist/ (供应链核查)
	$(BIN)/python tests/supply_chain.py audit

lock: ## Resolve the dependencies anew into requirements.lock (更新依赖锁定); needs uv
	uv pip compile --universal --generate-hashes --no-annotate --no-header --extra dev --python-version 3.11 \
	  --upgrade pyproject.toml -o requirements.lock

clean: ## Remove caches, not the environment and not the data (清理缓存)
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist
