import numpy as np
import pytest
import torch

from spikeloom.compiler.errors import SpikeloomError
from spikeloom.models.augment import Augmentation

IMAGES = torch.rand(50, 2, 9, 9, generator=torch.Generator().manual_seed(0))


def apply(augmentation: Augmentation, seed: int = 0, images: torch.Tensor = IMAGES) -> torch.Tensor:
    return augmentation(images, np.random.default_rng(seed))


@pytest.mark.parametrize(
    "augmentation",
    [
        Augmentation(flip=True),
        Augmentation(rotate=15),
        Augmentation(scale=0.2),
        Augmentation(shift=2),
        Augmentation(noise=0.1),
        Augmentation(True, 10, 0.1, 1, 0.05),
    ],
    ids=str,
)
def test_change_is_drawn_from_the_generator_and_stays_in_range(augmentation: Augmentation) -> None:
    changed = apply(augmentation)
    assert changed.dtype == torch.float32
    assert changed.shape == IMAGES.shape
    assert 0 <= float(changed.min()) <= float(changed.max()) <= 1
    assert torch.equal(changed, apply(augmentation))
    assert not torch.equal(changed, apply(augmentation, seed=1))


def test_nothing_is_changed_unless_asked_for() -> None:
    assert apply(Augmentation()) is IMAGES


def test_flip_mirrors_about_half_of_the_images() -> None:
    flipped = apply(Augmentation(flip=True))
    mirrored = [
        torch.equal(one, other.flip(-1)) for one, other in zip(flipped, IMAGES, strict=True)
    ]
    assert 10 < sum(mirrored) < 40
    for place, was in enumerate(mirrored):
        assert was or torch.equal(flipped[place], IMAGES[place])


def test_shift_moves_whole_pixels_and_black_in() -> None:
    dot = torch.zeros(400, 1, 9, 9)
    dot[:, :, 4, 4] = 1
    moved = apply(Augmentation(shift=2), images=dot)
    assert moved.sum() == 400
    assert {tuple(place) for place in moved.nonzero()[:, 2:].tolist()} == {
        (row, column) for row in range(2, 7) for column in range(2, 7)
    }
    corner = torch.ones(400, 1, 3, 3)
    kept = apply(Augmentation(shift=1), images=corner).sum((1, 2, 3))
    assert set(kept.tolist()) == {4, 6, 9}


def test_turning_keeps_the_centre() -> None:
    dot = torch.zeros(20, 1, 9, 9)
    dot[:, :, 4, 4] = 1
    turned = apply(Augmentation(rotate=90), images=dot)
    assert turned[:, 0, 4, 4] == pytest.approx(1, abs=1e-5)


def test_illegal_settings_are_refused() -> None:
    with pytest.raises(SpikeloomError, match=r"augmentation has shift = -1; wanted 0 .. 16"):
        Augmentation(shift=-1)
