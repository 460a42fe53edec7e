"""Benchmarks: one script a claim. `python -m benchmarks --help` tells how to run them."""
