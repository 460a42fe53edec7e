"""Benchmarks: one script for each claim. `python -m benchmarks --help` explains how to run them."""

import api  # noqa: F401  switches the telemetry of onnxruntime off, in the rivals' processes too
