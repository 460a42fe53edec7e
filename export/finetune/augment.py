"""Augmentation of a batch of crops: random brightness, contrast and saturation. Runs on any device."""

from __future__ import annotations

import torch
from torch import Tensor

# Weights of red, green and blue in brightness (ITU-R BT.601).
_GREY = (0.299, 0.587, 0.114)


def recolour(crops: Tensor, factors: Tensor) -> Tensor:
    """Crops uint8 [N, 3, H, W] with brightness, contrast and saturation times `factors` float [N, 3]: float, 0 to 255.

    A factor of one changes nothing. Contrast is relative to the mean grey of a crop, saturation to the grey of a pixel.
    """
    brightness, contrast, saturation = factors.view(-1, 3, 1, 1, 1).unbind(1)
    photos = crops.float() * brightness
    grey = photos.new_tensor(_GREY).view(1, 3, 1, 1)
    mean = (photos * grey).sum(dim=1, keepdim=True).mean(dim=(2, 3), keepdim=True)
    photos = torch.lerp(mean, photos, contrast)
    photos = torch.lerp((photos * grey).sum(dim=1, keepdim=True), photos, saturation)
    return photos.clamp(0, 255)
