"""Purrdict's deployed side: one stateless function that reads a published model and answers over HTTP."""

import os

# Since 1.29 onnxruntime reports each process and its sessions to Microsoft, on Linux and macOS too, through a database
# in the user's cache. It asks for this once, when it is imported; so it stands in the package that comes first. For C
# code alone: Python's view of the environment belongs to _settings.py.
os.putenv("ORT_DISABLE_TELEMETRY", "1")
