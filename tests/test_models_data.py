import numpy as np

from spikeloom.models.data import digits


def test_digits_are_split_without_overlap_and_per_class() -> None:
    dataset = digits()
    parts = (dataset.train, dataset.validation, dataset.test)
    assert [len(part) for part in parts] == [1167, 270, 360]
    samples = np.concatenate([part.intensities for part in parts])
    assert len(np.unique(samples, axis=0)) == 1797
    for part in parts:
        share = np.bincount(part.labels, minlength=10) / len(part)
        assert (abs(share - 0.1) < 0.01).all()


def test_digits_are_intensities() -> None:
    dataset = digits()
    assert (dataset.inputs, dataset.classes) == (64, 10)
    intensities = dataset.train.intensities
    assert intensities.dtype == np.float32
    assert set(np.unique(intensities * 16)) == set(range(17))


def test_split_follows_the_seed() -> None:
    assert np.array_equal(digits(1).test.labels, digits(1).test.labels)
    assert not np.array_equal(digits(1).test.labels, digits(2).test.labels)
