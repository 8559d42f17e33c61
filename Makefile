# make search: set up, and go the whole way once: labels, search, ONNX file, accuracy and speed
# make test:   set up, and run the tests
# make slow:   set up, and run the tests that take longer: kills, clusters, all reference points
# make docs:   set up, build the site into site/, and run all code on its pages
# make lint:   set up, style and types
# make standard Z=0.5: set up, make the standard emulator of a redshift, and judge it

PYTHON ?= python3
VENV ?= .venv
RUN := runs/quick
READY := $(VENV)/.ready
PY := $(VENV)/bin/python
Z := 0.0
STANDARD := runs/standard$(if $(filter-out 0.0,$(Z)),-z$(Z))

.PHONY: search test slow docs lint benchmarks standard clean

search: $(READY)
	$(PY) -m datagen.generate --config configs/quick/labels.yaml
	$(PY) -m tuning.search --config configs/quick/search.yaml
	$(PY) -m export.to_onnx --emulator $(RUN)/emulator.safetensors --out $(RUN)/emulator.onnx
	OMP_NUM_THREADS=1 $(PY) -m benchmarks.report --emulator $(RUN)/emulator.onnx --data $(RUN)/labels.h5 --out $(RUN)/report

test: $(READY)
	$(PY) -m pytest

slow: $(READY)
	$(PY) -m pytest -m slow

docs: $(READY)
	$(PY) -m sphinx --fresh-env --fail-on-warning --keep-going --quiet docs site

lint: $(READY)
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

benchmarks: $(READY)
	$(PY) -m pytest benchmarks

standard: $(READY)
	$(PY) -m datagen.generate --config configs/standard/labels.yaml --model.z $(Z) --out $(STANDARD)/labels.h5
	$(PY) -m emulator.train_closed --data $(STANDARD)/labels.h5 --out $(STANDARD)/closed --split.validation 0.5 --split.test 0
	$(PY) -m export.to_onnx --emulator $(STANDARD)/closed/emulator.safetensors --out $(STANDARD).onnx
	$(PY) -m datagen.generate --config configs/standard/test.yaml --model.z $(Z) --out $(STANDARD)/test.h5
	$(PY) -m benchmarks.judge --emulator $(STANDARD).onnx --data $(STANDARD)/test.h5

$(READY): setup.cfg pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) build site *.egg-info
