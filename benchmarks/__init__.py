"""Benchmarks: one script a claim. `python -m benchmarks --help` tells how to run them."""

import api  # noqa: F401  keeps onnxruntime from phoning home, in the rivals' processes too
