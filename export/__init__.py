"""The training side of Purrdict: photos in, a published model directory out. Nothing here is deployed."""

import api  # noqa: F401  switches the telemetry of onnxruntime off
