"""Augmentation: random changes of training images, new in every epoch."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from spikeloom.compiler.errors import SpikeloomError


@dataclass(frozen=True)
class Augmentation:
    """What happens to a training image, in this order; the default is nothing.

    Attributes
    ----------
    flip : half of the images are mirrored left to right
    rotate, scale : largest angle in degrees and largest relative change of size, each drawn
        uniformly; bilinear interpolation about the centre, black outside
    shift : largest move in whole pixels, drawn uniformly per axis; black moves in. 4 is what is
        called RandomCrop(32, padding=4)
    noise : standard deviation of normal noise on every intensity, then clipped to 0 .. 1
    """

    flip: bool = False
    rotate: float = 0.0
    scale: float = 0.0
    shift: int = 0
    noise: float = 0.0

    def __post_init__(self) -> None:
        for name, limit in (("rotate", 180), ("scale", 0.9), ("shift", 16), ("noise", 10)):
            if not 0 <= getattr(self, name) <= limit:
                raise SpikeloomError(
                    f"augmentation has {name} = {getattr(self, name)}; wanted 0 .. {limit}"
                )

    def __call__(self, images: Tensor, random: np.random.Generator) -> Tensor:
        """Changed images, float32 in 0 .. 1.

        Parameters
        ----------
        images : `[N, channels, rows, columns]`, or any shape if there is only noise to add
        """
        if self.flip:
            mirrored = torch.from_numpy(random.random(len(images)) < 0.5)
            images = torch.where(mirrored[:, None, None, None], images.flip(-1), images)
        if self.rotate or self.scale:
            images = self._turn(images, random)
        if self.shift:
            images = self._move(images, random)
        if self.noise:
            noise = random.normal(0, self.noise, images.shape).astype(np.float32)
            images = (images + torch.from_numpy(noise)).clamp(0, 1)
        return images

    def _turn(self, images: Tensor, random: np.random.Generator) -> Tensor:
        angle = random.uniform(-self.rotate, self.rotate, len(images)) * math.pi / 180
        size = 1 + random.uniform(-self.scale, self.scale, len(images))
        cosine, sine = np.cos(angle) / size, np.sin(angle) / size
        zero = np.zeros_like(angle)
        matrix = np.stack([cosine, -sine, zero, sine, cosine, zero], 1).reshape(-1, 2, 3)
        grid = nn.functional.affine_grid(
            torch.from_numpy(matrix.astype(np.float32)), list(images.shape), align_corners=False
        )
        return nn.functional.grid_sample(images, grid, align_corners=False).clamp(0, 1)

    def _move(self, images: Tensor, random: np.random.Generator) -> Tensor:
        count, channels, rows, columns = images.shape
        padded = nn.functional.pad(images, [self.shift] * 4)
        corner = torch.from_numpy(random.integers(0, 2 * self.shift + 1, (2, count, 1)))
        row = (corner[0] + torch.arange(rows))[:, None, :, None]
        column = (corner[1] + torch.arange(columns))[:, None, None, :]
        sample = torch.arange(count)[:, None, None, None]
        return padded[sample, torch.arange(channels)[:, None, None], row, column]
