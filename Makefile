# make search: set up, and go the whole way once: labels, search, ONNX file, a semi-analytic
#              emulator of the same model, accuracy and speed of all
# make test:   set up, and run the tests
# make slow:   set up, and run the tests that take longer: kills, clusters, all reference points
# make wheel:  set up, build the wheel, and use it in an environment that has nothing else
# make newest: set up, and import all with the newest numpy, scipy, onnxruntime that setup.cfg admits
# make docs:   set up, build the site into site/, and run all code on its pages
# make lint:   set up, style and types
# make standard, make tinker10: set up, make a shipped emulator, and evaluate it on fresh labels
# make network: set up, and make network-gg (half an hour)
# make published: set up, and make the emulators of the published set-up (an hour)

PYTHON ?= python3
VENV ?= .venv
RUN := runs/quick
READY := $(VENV)/.ready
PY := $(VENV)/bin/python
PUBLISHED := runs/published
LABELS := --config configs/published/labels.yaml
FEW := '{low: 1.0e-6, high: 1.0, sampling: log10}'
LOG_MASSES := --space.Mth.sampling log10 --space.Mprime.sampling log10
COSMOLOGY := --config configs/survey/box.yaml
BOX := $(COSMOLOGY) --config configs/survey/linke22.yaml
OCCUPATIONS := zheng07 more15 leauthaud11

.PHONY: search test slow wheel newest docs lint benchmarks standard tinker10 network published clean

search: $(READY)
	$(PY) -m datagen.generate --config configs/quick/labels.yaml
	$(PY) -m tuning.search --config configs/quick/search.yaml
	$(PY) -m export.to_onnx --emulator $(RUN)/emulator.safetensors --out $(RUN)/emulator.onnx
	$(PY) -m emulator.train_semianalytic --config configs/quick/semianalytic.yaml
	$(PY) -m export.to_onnx --emulator $(RUN)/semianalytic/emulator.safetensors --out $(RUN)/semianalytic.onnx
	OMP_NUM_THREADS=1 $(PY) -m hodspectra report --emulator $(RUN)/emulator.onnx --data $(RUN)/labels.h5 --beside '[$(RUN)/semianalytic.onnx]' --out $(RUN)/report

test: $(READY)
	$(PY) -m pytest -n 2 --dist loadfile --no-loadscope-reorder

slow: $(READY)
	$(PY) -m pytest -m slow

wheel: $(READY)
	$(PY) -m pytest -m "" tests/test_wheel.py

newest: $(READY)
	$(PY) .ci/newest.py

docs: $(READY)
	$(PY) -m sphinx --fresh-env --fail-on-warning --keep-going --quiet docs site

lint: $(READY)
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

benchmarks: $(READY)
	$(PY) -m pytest speed

standard tinker10: $(READY)
	$(PY) -m emulator.train_semianalytic $(BOX) --config configs/$@/model.yaml --config configs/$@/emulator.yaml
	$(PY) -m export.to_onnx --emulator runs/$@/emulator.safetensors --out runs/$@/$@.onnx
	$(PY) -m datagen.generate $(BOX) --config configs/$@/model.yaml --config configs/survey/test.yaml --out runs/$@/test.h5
	$(PY) -m datagen.generate --config configs/$@/model.yaml --config configs/survey/test_published.yaml --out runs/$@/published_box.h5
	$(PY) -m hodspectra evaluate --emulator runs/$@/$@.onnx --data runs/$@/test.h5 --write_record true --out runs/$@/test
	$(PY) -m hodspectra evaluate --emulator runs/$@/$@.onnx --data runs/$@/published_box.h5 --name published_box --write_record true --out runs/$@/published_box
	for name in $(OCCUPATIONS); do \
	$(PY) -m datagen.generate $(COSMOLOGY) --config configs/$@/model.yaml --config configs/survey/test_occupation.yaml --space.occupation $$name --out runs/$@/$$name.h5 && \
	$(PY) -m hodspectra evaluate --emulator runs/$@/$@.onnx --data runs/$@/$$name.h5 --write_record true --out runs/$@/$$name || exit 1; done

network: $(READY)
	$(PY) -m datagen.generate --config configs/network/labels.yaml
	$(PY) -m datagen.generate --config configs/network/labels.yaml --design.points 20000 --design.seed 3 --out runs/network/test.h5
	$(PY) -m emulator.train --config configs/network/train.yaml
	$(PY) -m export.to_onnx --emulator runs/network/gg/emulator.safetensors --out runs/network/network-gg.onnx
	$(PY) -m hodspectra evaluate --emulator runs/network/network-gg.onnx --data runs/network/test.h5 --floor.linear_power 8 --write_record true --out runs/network/test

published: $(READY)
	$(PY) -m datagen.generate $(LABELS)
	$(PY) -m datagen.generate $(LABELS) --space.alpha $(FEW) --design.points 10000 --design.seed 35 --out $(PUBLISHED)/few_centrals.h5
	$(PY) -m datagen.generate $(LABELS) --space.alpha $(FEW) $(LOG_MASSES) --design.points 20000 --design.seed 36 --out $(PUBLISHED)/low_masses.h5
	$(PY) -m datagen.generate $(LABELS) --space.alpha.low 0.4 --design.points 100000 --design.seed 37 --out $(PUBLISHED)/many_centrals.h5
	$(PY) -m datagen.generate $(LABELS) $(LOG_MASSES) --design.points 30000 --design.seed 33 --out $(PUBLISHED)/domain.h5
	$(PY) -m datagen.generate $(LABELS) --design.points 30000 --design.seed 32 --out $(PUBLISHED)/test.h5
	$(PY) -m emulator.train --config configs/published/train.yaml
	$(PY) -m emulator.train --config configs/published/train.yaml --train.correlations '[gg]' --more '[$(PUBLISHED)/low_masses.h5, $(PUBLISHED)/many_centrals.h5]' --out $(PUBLISHED)/gg
	$(PY) -m emulator.train --config configs/published/train.yaml --train.terms '[1h]' --out $(PUBLISHED)/gm_1h --train.schedule.max_tflop 15
	$(PY) -m emulator.train --config configs/published/train.yaml --train.terms '[2h]' --out $(PUBLISHED)/gm_2h --train.schedule.max_tflop 15
	$(PY) -m export.to_onnx --emulator $(PUBLISHED)/gm/emulator.safetensors --out $(PUBLISHED)/published-gm.onnx
	$(PY) -m export.to_onnx --emulator $(PUBLISHED)/gm_1h/emulator.safetensors --merge $(PUBLISHED)/gm_2h/emulator.safetensors --out $(PUBLISHED)/published-gm-separate.onnx
	$(PY) -m export.to_onnx --emulator $(PUBLISHED)/gg/emulator.safetensors --out $(PUBLISHED)/published-gg.onnx --domain '[$(PUBLISHED)/labels.h5, $(PUBLISHED)/domain.h5]'
	for name in gm gm-separate gg; do $(PY) -m hodspectra evaluate --emulator $(PUBLISHED)/published-$$name.onnx --data $(PUBLISHED)/test.h5 --floor.linear_power 8 --write_record true --out $(PUBLISHED)/test-$$name; done

$(READY): setup.cfg pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) build site *.egg-info
