"""What happens to a batch of crops before the network sees it: flips, light and colour, mixup. Runs on any device."""

from __future__ import annotations

import kornia.augmentation as kornia
import torch
from torch import Tensor, nn

from export.network import normalise


class Augment(nn.Module):
    """Crops uint8 [N, 3, H, W] to normalised photos float [N, 3, H, W], flipped and recoloured at random."""

    def __init__(self, colour: float) -> None:
        super().__init__()
        around_one = (1 - colour, 1 + colour)
        self.colour = nn.Sequential(
            kornia.RandomBrightness(around_one, p=0.8),
            kornia.RandomContrast(around_one, p=0.8),
            kornia.RandomSaturation(around_one, p=0.3),
        )

    def forward(self, crops: Tensor) -> Tensor:
        mirrored = torch.rand(len(crops), 1, 1, 1, device=crops.device) < 0.5
        photos = torch.where(mirrored, crops.flip(3), crops).float() / 255
        return normalise(self.colour(photos) * 255).contiguous(memory_format=torch.channels_last)


def mixup(photos: Tensor, targets: list[Tensor], alpha: float) -> tuple[Tensor, list[Tensor]]:
    """Blend each photo and each of its targets with those of another photo (Zhang et al. 2017, arXiv:1710.09412)."""
    share = torch.distributions.Beta(alpha, alpha).sample((len(photos),)).to(photos.device)
    other = torch.randperm(len(photos), device=photos.device)

    def blend(x: Tensor) -> Tensor:
        s = share.view(-1, *[1] * (x.dim() - 1)).to(x.dtype)
        return s * x + (1 - s) * x[other]

    return blend(photos), [blend(target) for target in targets]
