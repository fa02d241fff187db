# Everything installs into .venv; no target needs anything done by hand before.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# Debian packages that the tests use: a second ffmpeg beside the one of imageio-ffmpeg; what renders the demo song.
DEBIAN := ffmpeg fluidsynth fluid-soundfont-gm
# What the songs and voices that sketch learns from are made with; timgm6mb is for evaluation only.
TRAINING := $(DEBIAN) musescore-general-soundfont-small timgm6mb-soundfont hydrogen-drumkits sonic-pi-samples \
  fretsonfire-songs-sectoid espeak-ng gcc g++
CORPUS ?= /tmp/stemwright-corpus
SONGS ?= 250
HOURS ?= 6
MINUTES ?= 600
NAME ?= run

.PHONY: demo serve test check bench parity song train train-drums clean

demo: $(VENV)/base  ## take our own song apart
	@$(BIN)/stemwright separate demo/song.ogg --output out --model sketch --picture --drums --force
	@echo
	@echo "The stems are in out/song, with a receipt, a picture of their waveforms (waveforms.svg) and the drum chart (drums.svg, .mid, .json)."

serve: $(VENV)/server  ## the studio, at http://127.0.0.1:8000
	$(BIN)/stemwright serve

test: $(VENV)/all debian check  ## lint, types, and every test
	$(BIN)/python -m pytest -n 2 --dist worksteal

check: $(VENV)/all
	$(BIN)/ruff format --check --quiet src tests benchmarks demo training
	$(BIN)/ruff check --quiet src tests benchmarks demo training
	$(BIN)/mypy
	$(BIN)/bandit --quiet --recursive --configfile pyproject.toml src

bench: $(VENV)/all debian  ## speed and memory beside the demucs command; writes benchmarks/RESULTS.md and STUDIO.md
	$(BIN)/python -m benchmarks.run
	$(BIN)/python -m benchmarks.studio

parity: $(VENV)/all  ## our Spleeter beside the real one, in an environment of its own; writes benchmarks/SPLEETER.md
	$(BIN)/python -m benchmarks.spleeter_parity

song:  ## compose and render the demo song again; needs fluidsynth and fluid-soundfont-gm
	$(BIN)/python -m demo.compose

train: $(VENV)/training  ## make sketch again: data, network, ONNX file, scores; many hours. START=checkpoint goes on from one
	@$(MAKE) --no-print-directory debian DEBIAN="$(TRAINING)"
	$(BIN)/python -m training.songs --corpus $(CORPUS) --train $(SONGS) --test 10
	$(BIN)/python -m training.voices --corpus $(CORPUS) --hours $(HOURS) --paired $(SONGS)
	$(BIN)/python -m training.train --corpus $(CORPUS) --out training/checkpoints/$(NAME) --minutes $(MINUTES) $(if $(START),--start $(START))
	$(BIN)/python -m training.export training/checkpoints/$(NAME).pt
	$(BIN)/python -m training.evaluate --corpus $(CORPUS)

train-drums: $(VENV)/training  ## make the drum network again; hours
	@$(MAKE) --no-print-directory debian DEBIAN="$(TRAINING)"
	$(BIN)/python -m training.drums --work /tmp/stemwright-drums --minutes $(MINUTES) --music $(CORPUS)/train

clean:
	rm -rf $(VENV) out

$(VENV)/python:
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/base: $(VENV)/python pyproject.toml
	$(PIP) --editable .
	@touch $@

$(VENV)/server: $(VENV)/base
	$(PIP) --editable '.[server]'
	@touch $@

# The torch that the tests are known to pass with; a plain `torch` may bring gigabytes of CUDA.
$(VENV)/all: $(VENV)/base
	$(PIP) torch==2.13.0
	$(PIP) --editable '.[demucs,server,dev]'
	@touch $@

$(VENV)/training: $(VENV)/all
	$(PIP) --editable '.[training]'
	@touch $@

.PHONY: debian
debian:
	@for package in $(DEBIAN); do \
	  dpkg -s $$package >/dev/null 2>&1 && continue; \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    echo "installing $$package"; \
	    (apt-get update -qq; DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$package) >/dev/null \
	      || echo "could not install $$package: tests that need it are skipped with a reason"; \
	  else echo "$$package is missing and cannot be installed here: tests that need it are skipped with a reason"; fi; \
	done
