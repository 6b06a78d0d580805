# make demo | make test | make test-keycloak | make lint | make benchmarks | make images | make lock | make clean
# make soak MINUTES=30 | make mutants
# PYTHON=python3.12 chooses a Python; PORT=, DIR= and ONE_HOST=1 are the demo's; WHAT= chooses tests.
SHELL := /bin/sh
PYTHON ?= $(shell tools/python)
PORT ?= 8000
DIR ?= .demo
WHAT ?= tests
MINUTES ?= 30
CLUSTER_WHAT ?= tests/cluster tests/helm tests/images tests/cli
IMAGES := hub gateway proxy notebook scattering desktop desktop-selkies postgresql
KEYCLOAK ?= ../shared/keycloak/keycloak
LOAD ?= ../shared/cluster/cluster load
VENV := .venv
# Each hub and gateway of a test would compile all of ours again.
unexport PYTHONDONTWRITEBYTECODE
# As many as cores: with more, what browsers and hubs are waited for takes too long.
WORKERS ?= 2
POD_WORKERS ?= 1
LANE = $(VENV)/bin/python tools/lane
UV := $(VENV)/bin/uv
ENVIRONMENT := .cache/environments/scattering
# With programs that have windows where they can be shown; looked for when it is needed, after `system`.
SOFTWARE = $(shell command -v Xvnc >/dev/null 2>&1 && echo scattering-desktop || echo scattering)

# cluster-demo: LOAD= is the command that hands an image to the cluster; tools/cluster-demo lists its other variables.
.PHONY: demo cluster-images cluster-demo cluster-test test test-keycloak lint benchmarks soak mutants lock images clean system system-test hub hub-dev environment documents selkies proxy

demo: system
	@$(MAKE) --no-print-directory -j2 hub environment
	@exec $(VENV)/bin/visa demo --port $(PORT) --dir "$(DIR)" --environment $(ENVIRONMENT) $(if $(ONE_HOST),--one-host)

# All that a cluster needs of this repository, built and handed to it; safe to repeat.
cluster-images:
	images/build $(IMAGES)
	tools/cluster-load "$(LOAD)" $(IMAGES:%=localhost/visa/%:dev)

# On the Kubernetes that KUBECONFIG points to, with kubectl and helm on PATH.
cluster-demo: hub
	@LOAD="$(LOAD)" $(VENV)/bin/python tools/cluster-demo

# Each lane of a run keeps what it took in LANES; .ci/run sets it for all of its own.
test: system system-test
	@[ -n "$(LANES)" ] || rm -rf .cache/lanes
	@$(MAKE) --no-print-directory -j3 hub-dev environment documents selkies proxy lint
	@$(LANE) tests --pytest -n $(WORKERS) --dist loadfile -m "not keycloak and not cluster and not soak" $(WHAT); \
		code=$$?; [ -n "$(LANES)" ] || $(LANE) --report; exit $$code

test-keycloak: system system-test hub-dev environment
	KEYCLOAK=$(KEYCLOAK) $(LANE) keycloak --pytest -m keycloak tests/keycloak

# On the Kubernetes of KUBECONFIG, with the release of `make cluster-demo` in it.
cluster-test: system system-test hub-dev
	KEYCLOAK=$(KEYCLOAK) $(LANE) pods --pytest -n $(POD_WORKERS) --dist loadfile --no-loadscope-reorder -m cluster $(CLUSTER_WHAT)

# The proxy of the chart, for tests on this machine.
proxy: $(UV)
	@tools/kept proxy .cache/proxy tools/proxy $(UV) || true

selkies: $(UV)
	@tools/kept selkies .cache/selkies tools/selkies $(UV) "$(PYTHON)" || true

lint: hub-dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports --no-logo

benchmarks: system hub-dev environment
	$(VENV)/bin/python -m benchmarks

# What only time finds, and each benchmark for a few rounds; PARTS= chooses some.
soak: system system-test hub-dev environment
	$(VENV)/bin/python -m tests.soak --minutes $(MINUTES) $(PARTS)

# A sample of small changes of the code, which the tests have to notice; writes into this clone, so have one for it.
mutants: system system-test hub-dev environment
	@[ -x .cache/mutants/venv/bin/python ] || $(UV) venv --quiet --clear .cache/mutants/venv
	@$(UV) pip install --quiet --python .cache/mutants/venv/bin/python "cosmic-ray>=8.7,<9"
	nice -n 19 .cache/mutants/venv/bin/python tools/mutants .cache/mutants/results.jsonl
	.cache/mutants/venv/bin/python tools/mutants --score .cache/mutants/results.jsonl

# What has to come from the system; installed by apt when root, else said.
system:
	@tools/system "$(PYTHON)" demo

system-test:
	@tools/system "$(PYTHON)" test

$(UV):
	@"$(PYTHON)" -m venv $(VENV)
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check "uv>=0.9,<1"

hub: $(UV)
	@tools/install $(UV) $(VENV) requirements/hub.txt
	@tools/novnc $(UV) || true

hub-dev: $(UV)
	@tools/install $(UV) $(VENV) requirements/dev.txt
	@tools/novnc $(UV) || true

environment: $(UV)
	@tools/kept $(SOFTWARE) $(ENVIRONMENT) environments/install $(UV) "$(PYTHON)" $(SOFTWARE)

# Another engine for several people in one document, for tests.
documents: $(UV)
	@tools/kept documents .cache/environments/documents environments/install $(UV) "$(PYTHON)" documents

# Locks what is installed; run it to take newer versions.
lock: $(UV)
	$(UV) pip compile --quiet --universal --python-version 3.11 --no-header --override environments/without.txt \
		--extra sandbox --extra postgresql pyproject.toml -o requirements/hub.txt
	$(UV) pip compile --quiet --universal --python-version 3.11 --no-header --override environments/without.txt \
		--extra sandbox --extra postgresql --extra kubernetes --group dev pyproject.toml -o requirements/dev.txt
	$(UV) pip compile --quiet --universal --python-version 3.11 --no-header --override environments/without.txt \
		--extra postgresql --extra kubernetes pyproject.toml -o requirements/kubernetes.txt
	$(UV) pip compile --quiet --universal --python-version 3.11 --no-header images/gateway/requirements.in \
		-o requirements/gateway.txt
	$(UV) pip compile --quiet --universal --python-version 3.11 --no-header images/builder/requirements.in \
		-o images/builder/requirements.txt
	$(UV) pip compile --quiet --universal --python-version 3.11 --no-header --override environments/without.txt \
		environments/scattering/requirements.in -o environments/scattering/requirements.txt
	$(UV) pip compile --quiet --universal --python-version 3.11 --no-header --override environments/without.txt \
		--constraint environments/scattering/requirements.txt \
		environments/scattering-desktop/requirements.in -o environments/scattering-desktop/requirements.txt
	$(UV) pip compile --quiet --universal --python-version 3.11 --no-header --override environments/without.txt \
		environments/documents/requirements.in -o environments/documents/requirements.txt
	$(UV) pip compile --quiet --universal --python-version 3.11 --no-header environments/selkies/requirements.in \
		-o environments/selkies/requirements.txt
	# The same versions as in the environments on top of it, whose images then only add files.
	$(UV) pip compile --quiet --universal --python-version 3.11 --no-header --override environments/without.txt \
		--constraint environments/scattering/requirements.txt images/notebook/requirements.in -o images/notebook/requirements.txt
	$(UV) pip compile --quiet --universal --python-version 3.11 --no-header --override environments/without.txt \
		--constraint environments/scattering/requirements.txt \
		images/stock/requirements.in -o images/stock/requirements.txt

# As podman, buildah or docker; images/build -h tells more.
images:
	images/build

# What all clones on this machine share stays: tools/kept says where and for how long.
clean:
	rm -rf $(VENV) .cache build dist
	@echo "Environments are kept for all clones in $${VISA_CACHE:-$${XDG_CACHE_HOME:-$$HOME/.cache}/visa}; it may be removed when no demo runs."
