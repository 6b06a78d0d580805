# The lanes of .ci/run and what each waits for. SHARED is the folder with `cluster` and `keycloak`.
CLUSTER := $(SHARED)/cluster/cluster
KEYCLOAK := $(SHARED)/keycloak/keycloak
PYTHON := $(shell tools/python)
LANE := "$(PYTHON)" tools/lane
IN_CLUSTER = eval "$$($(CLUSTER) env)" &&

.PHONY: all tests cluster images keycloak demo test-keycloak pods

all: tests test-keycloak pods

# In process, then hubs, sandboxes and browsers: the README's command.
tests:
	$(MAKE) --no-print-directory test

# What an earlier run left there is forgotten. After the tests: images from nothing take both cores for minutes.
cluster: tests
	$(LANE) cluster sh -ec '$(CLUSTER) down >/dev/null 2>&1 || true; $(CLUSTER) up; $(CLUSTER) base'

images: cluster
	$(IN_CLUSTER) $(LANE) images make --no-print-directory cluster-images LOAD="$(CLUSTER) load"

# Java wants both cores for a minute: after what all others wait for.
keycloak: images
	$(LANE) keycloak-up $(KEYCLOAK) up

demo: images keycloak tests
	$(IN_CLUSTER) BUILD=no $(LANE) demo make --no-print-directory cluster-demo LOAD="$(CLUSTER) load"

test-keycloak: keycloak tests
	$(MAKE) --no-print-directory test-keycloak KEYCLOAK="$(KEYCLOAK)"

pods: demo test-keycloak
	$(IN_CLUSTER) $(MAKE) --no-print-directory cluster-test KEYCLOAK="$(KEYCLOAK)"
