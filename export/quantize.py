"""The float32 graph to int8: static, per channel, calibrated on training photos.

Only the convolutional body is quantized. Preprocessing, pooling, classifier, softmax and heatmap stay float32: they
cost nothing and rounding them would be seen in the answer.
"""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path

import numpy as np
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

QUANTIZED_OPERATORS = ["Conv", "Add", "MaxPool"]
BATCH = 16


class _Calibration(CalibrationDataReader):
    def __init__(self, pixels: np.ndarray) -> None:
        self.batches = iter([pixels[i : i + BATCH] for i in range(0, len(pixels), BATCH)])

    def get_next(self) -> dict[str, np.ndarray] | None:  # type: ignore[override]
        batch = next(self.batches, None)
        return None if batch is None else {"pixels": np.ascontiguousarray(batch)}


def quantize(float_path: Path, int8_path: Path, pixels: np.ndarray) -> None:
    """Write the int8 version of the graph at `float_path`; `pixels` uint8 [N, S, S, 3] are typical training photos.

    Weights keep seven of their eight bits: processors without VNNI add two products in 16 bits and would overflow
    with eight, and nobody knows where the file will run.
    """
    # onnxruntime logs advice to the root logger that is followed here already.
    logging.getLogger().addFilter(_advice)
    try:
        with tempfile.TemporaryDirectory() as folder:
            prepared = Path(folder) / "prepared.onnx"
            quant_pre_process(str(float_path), str(prepared), skip_symbolic_shape=True)
            quantize_static(
                str(prepared), str(int8_path), _Calibration(pixels), quant_format=QuantFormat.QDQ,
                op_types_to_quantize=QUANTIZED_OPERATORS, per_channel=True, reduce_range=True,
                activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
                calibrate_method=CalibrationMethod.MinMax,
                extra_options={"CalibMovingAverage": True},
            )  # fmt: skip
    finally:
        logging.getLogger().removeFilter(_advice)


def _advice(record: logging.LogRecord) -> bool:
    return "pre-process" not in record.getMessage()
