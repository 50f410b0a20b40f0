# Two commands matter: `make run` and `make test`. Both set up what they need first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: help run test setup lint unit gui pyqt6 engines sample-data screenshots looks recording tool-pictures clean

help:
	@echo "make run     set up, then open the app on the sample CT (without a display: the same job headless, into out/)"
	@echo "make test    set up, then lint, type check and run every test (starts its own virtual display)"
	@echo "make setup   only set up: a virtual environment in $(VENV) and, on Debian as root, missing Qt/GL libraries"

setup: $(READY)

$(READY): pyproject.toml constraints.txt scripts/setup.sh
	PYTHON="$(PYTHON)" VENV="$(VENV)" sh scripts/setup.sh
	@touch $(READY)

run: setup
	$(BIN)/napari-volseg demo

test: lint unit gui pyqt6 engines

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/npe2 validate napari_volseg

unit: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not gui" -n 2

gui: setup
	QT_API=pyqt5 scripts/on_display.sh $(BIN)/python -m pytest -m gui

pyqt6: setup
	QT_API=pyqt6 PYTEST_QT_API=pyqt6 scripts/on_display.sh $(BIN)/python -m pytest tests/gui/test_gui_smoke.py

engines: setup
	VENV="$(VENV)" scripts/other_engines.sh

sample-data: setup
	$(BIN)/python sample_data/make.py

screenshots: setup
	scripts/on_display.sh $(BIN)/python docs/screenshots.py

looks: setup
	xvfb-run -a -s "-screen 0 3840x2160x24" $(BIN)/python docs/looks.py

recording: setup
	scripts/on_display.sh $(BIN)/python docs/recording.py

tool-pictures: setup
	scripts/on_display.sh $(BIN)/python docs/tool_pictures.py

clean:
	rm -rf $(VENV) $(VENV)-engines out build dist *.egg-info
