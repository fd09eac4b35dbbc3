# `make help` lists what there is. COLUMN=a (the default), b or minimal says
# which set of dependencies is meant, PYTHON=... which Python makes it.

COLUMN ?= a
# For GPUs that torch 2.1 of column b does not know.
ifeq ($(TORCH),newest)
override COLUMN := $(COLUMN:%-newest=%)-newest
endif
ifeq ($(COLUMN),a)
VENV ?= .venv
else
VENV ?= .venv-$(COLUMN)
endif
PYTHON ?=
TESTS ?=
PYTEST_ARGS ?=
DEMO_ARGS ?=

PINS := $(if $(filter minimal,$(COLUMN)),minimal,column_$(COLUMN)).txt
PY := $(VENV)/bin/python
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.PHONY: help env test test-all demo doctor lint format docs clean distclean

# Any Python can run the set-up script; it finds the one that fits.
define find_any_python
for p in "$(PYTHON)" python3 python3.11 python3.12 python3.10 python3.9 \
	python3.8 python $(PY); do \
	if [ -n "$$p" ] && "$$p" -c 'import sys; \
sys.exit(sys.version_info < (3, 8))' >/dev/null 2>&1; then \
		any="$$p"; break; \
	fi; \
done; \
if [ -z "$$any" ]; then \
	echo "no Python 3.8 or later runs here; install python3.11" >&2; \
	exit 1; \
fi
endef

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | \
		awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'
	@echo '  COLUMN=a | b | minimal chooses the dependencies (now: $(COLUMN))'

env:  ## make the project's own environment, once
	@$(find_any_python); "$$any" tools/misc/setup_env.py \
		--column '$(COLUMN)' --python '$(PYTHON)' --venv '$(VENV)'

# Small tensors: a second thread costs more than it brings.
test: env  ## the test suite, all but the slow ones (TESTS=path for a part)
	@OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} $(PY) -m pytest -q \
		-m 'not slow and not gpu' --durations=10 $(PYTEST_ARGS) $(TESTS)

test-all: env  ## the slow tests too, and those for a GPU where there is one
	@OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} $(PY) -m pytest -q \
		--durations=20 $(PYTEST_ARGS) $(TESTS)

demo: env  ## train on a small sample, propagate masks, score them
	@$(PY) tools/demo/run_demo.py $(DEMO_ARGS)

doctor: env  ## what is installed, whether it works, how to fix it
	@$(PY) tools/misc/check_env.py --column '$(COLUMN)'

lint: env  ## check style and format
	@$(PY) -m ruff check . && $(PY) -m ruff format --check .

format: env  ## fix style and format
	@$(PY) -m ruff check --fix . && $(PY) -m ruff format .

docs: env  ## build the documentation into docs/_build/html
	@$(PY) -c 'import sphinx, myst_parser, furo' 2>/dev/null || \
		$(PY) -m pip install --disable-pip-version-check -q \
		-c requirements/$(PINS) furo myst-parser sphinx
	@$(PY) -m sphinx -W -b html docs docs/_build/html

clean:  ## remove what builds and tests leave; the environments stay
	@rm -rf build dist *.egg-info docs/_build .pytest_cache \
		.ruff_cache .hypothesis
	@find hvc_mm tools tests configs -name __pycache__ -type d -prune \
		-exec rm -rf {} +

distclean: clean  ## remove the environments and kept wheels too
	@rm -rf .venv .venv-b .venv-minimal .venv*-hvc-old .cache hvc_mm/.mim
