# make demo   train the demo sweep and compare it        make test   run the tests
# make check  lint, types, import rules                  make clean  remove the environment
# make docs   build the documentation site in docs/_build/html
# make lock   write requirements.lock again (needs pip-tools)
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.installed
# hashes: the exact files that were tested · versions: the same versions in any build, such as torch for CUDA, or on
# another system · newest: whatever pyproject.toml allows
INSTALL ?= hashes

# What a run imports is compiled now, even where the shell forbids to keep bytecode: all that is installed takes three times as long.
COMPILE := env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -c 'import vision_baselines.training.run, vision_baselines.report.write'
PIP := $(BIN)/python -m pip --disable-pip-version-check
.PHONY: demo test check docs clean lock

demo: $(READY)
	$(BIN)/python scripts/train.py -m name=demo model=cnn,fc seed=0,1,2

# The tests start hundreds of processes: bytecode is kept even where the shell forbids it, or each compiles all again.
test: export PYTHONDONTWRITEBYTECODE :=
# They run side by side: a thread more of torch than there are cores waits for the others.
test: export OMP_NUM_THREADS := 1
test: $(READY)
	$(BIN)/python -m pytest -n 2 --dist loadfile $(PYTEST_ARGS)

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Warnings are errors, and so is a link or a reference that leads nowhere.
docs: $(READY)
	$(BIN)/sphinx-build -W --keep-going -n -q docs docs/_build/html
	@echo "open docs/_build/html/index.html"

# Installed once, and again only when what is to be installed has changed.
$(READY): pyproject.toml requirements.lock
	@echo "installing into $(VENV): some minutes"
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; PYTHON=python3.11 make …")'
	$(PYTHON) -m venv $(VENV)
ifeq ($(INSTALL),hashes)
	$(PIP) install --quiet --no-compile --require-hashes --requirement requirements.lock || { echo \
	  "requirements.lock does not fit this system or index; for the same versions in another build: make INSTALL=versions"; exit 1; }
	$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	$(COMPILE) || true
else ifeq ($(INSTALL),versions)
	sed -n 's/^\([A-Za-z0-9_.-]*==[^ ]*\).*/\1/p' requirements.lock > $(VENV)/constraints.txt
	$(PIP) install --quiet --constraint $(VENV)/constraints.txt --editable '.[dev]'
else
	$(PIP) install --quiet --editable '.[dev]'
endif
	touch $@

lock:
	pip-compile --quiet --generate-hashes --no-emit-options --no-annotate --no-header --strip-extras \
	--allow-unsafe --extra dev --output-file requirements.lock pyproject.toml

clean:
	rm -rf $(VENV)
