"""Devices and precision of the training. Lightning Fabric handles devices and distribution."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch
from lightning_fabric import Fabric

# Flags of processors with native bfloat16. Emulated, a step takes ten times as long.
_BFLOAT16 = {"avx512_bf16", "amx_bf16"}


def fabric(devices: int | str) -> Fabric:
    """All GPUs, or one process; `devices` says how many GPUs or, without any, processes."""
    return Fabric(accelerator="auto", devices=devices, precision=precision())


def precision(cpuinfo: Path = Path("/proc/cpuinfo")) -> Literal["bf16-mixed", "32-true"]:
    """bfloat16 where the GPU or the processor has it natively, else float32."""
    if torch.cuda.is_available():
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        native = not torch.backends.mps.is_available() and _processor_has_bfloat16(cpuinfo)
    return "bf16-mixed" if native else "32-true"


def _processor_has_bfloat16(cpuinfo: Path) -> bool:
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False  # not Linux: unknown
    flags = next((line.split(":", 1)[1].split() for line in lines if line.startswith("flags")), [])
    return not _BFLOAT16.isdisjoint(flags)
