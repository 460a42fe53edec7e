# What `sam build` runs for template.yaml; ARTIFACTS_DIR is where it wants the function's files.
# Also by hand: make build-Purrdict ARTIFACTS_DIR=build/lambda

# The Python version of the Lambda function: compiled packages and bytecode work with one version only.
PYTHON ?= python3.12
PIP = $(PYTHON) -m pip --disable-pip-version-check --quiet --quiet

.PHONY: build-Purrdict
build-Purrdict:
	$(PIP) install --require-hashes --no-deps --no-compile --only-binary :all: --implementation cp \
	  --platform manylinux_2_28_x86_64 --platform manylinux_2_27_x86_64 --platform manylinux_2_17_x86_64 \
	  --platform manylinux2014_x86_64 --target "$(ARTIFACTS_DIR)" --upgrade -r requirements.txt
	rm -rf "$(ARTIFACTS_DIR)/bin"
	cp -R api model web LICENSE "$(ARTIFACTS_DIR)"
	rm -rf "$(ARTIFACTS_DIR)/model/bodies"
	$(PYTHON) deploy/prune.py "$(ARTIFACTS_DIR)"
	# Bytecode halves the cold start. Zipping changes file times, so it must not depend on them.
	$(PYTHON) -m compileall -q -f -j 0 --invalidation-mode unchecked-hash "$(ARTIFACTS_DIR)"
