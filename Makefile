# A fresh clone, Python >= 3.11 and make are all that is needed.
#   make demo        the whole line on real digits, a few minutes
#   make test        lint, types and every test that is not slow
#   make test-slow   the slow tests: the whole demo, training on real pictures, a clean environment
#   make native      libzoo, where `python -m zoo --prefix` says: needs cmake, a C++ compiler, libjpeg-turbo and libpng
#   make native-test its own tests, plain and under sanitizers, and 30 s of each fuzz target (FUZZ_SECONDS)
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test test-slow native native-test lint types format clean

demo: $(READY)
	$(BIN)/zoo demo

# Two workers of one thread each: most tests start processes, and threads that wait for each other spin. Files in their own
# order: xdist would begin those with the fewest tests last, and some of them are the longest.
test: lint types
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow" -n 2 --dist loadfile --no-loadscope-reorder

test-slow: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m slow -n 2 --dist loadfile --no-loadscope-reorder

# The OpenVINO backend is built where the virtual environment has OpenVINO's headers.
native:
	cmake -S . -B build/native -DZOO_TESTS=ON -DOpenVINO_DIR="$$($(BIN)/python -c 'import openvino, pathlib; print(pathlib.Path(openvino.__file__).parent / "cmake")' 2>/dev/null)"
	cmake --build build/native --parallel
	cmake --install build/native --prefix zoo/_libzoo

native-test:
	native/test.sh

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/mypy

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Made again when what is to be installed changes.
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "make: $(PYTHON) is older than 3.11: make PYTHON=python3.12 ..." >&2; exit 4; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV) build dist zoo/_libzoo *.egg-info .mypy_cache .ruff_cache
