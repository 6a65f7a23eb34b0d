"""Addresses of events against a hand count."""

import numpy as np
import pytest

from spikeloom.compiler.addresses import Addresses


def test_a_row_of_neurons_is_addressed_by_number() -> None:
    addresses = Addresses((5,))
    assert addresses.count == 5
    assert addresses.of([0, 4]).tolist() == [0, 4]
    assert [addresses.is_neuron(address) for address in (4, 5)] == [True, False]


def test_maps_are_addressed_by_channel_column_and_row() -> None:
    addresses = Addresses((3, 5, 2))
    # Two bits of channel, one of column, three of row.
    assert [(field.start, field.width) for field in addresses.fields] == [(0, 2), (2, 1), (3, 3)]
    assert addresses.count == 64
    neuron = (2 * 5 + 4) * 2 + 1
    assert addresses.of(neuron) == 2 | 1 << 2 | 4 << 3
    assert not addresses.is_neuron(3)
    assert not addresses.is_neuron(5 << 3)


@pytest.mark.parametrize("shape", [(1,), (7,), (1, 1, 1), (3, 5, 2), (4, 1, 8), (1, 28, 28)])
def test_every_neuron_has_one_address(shape: tuple[int, ...]) -> None:
    addresses = Addresses(shape)
    neurons = np.arange(addresses.neurons)
    given = addresses.of(neurons).tolist()
    assert len(set(given)) == len(given) and max(given) < addresses.count
    legal = [address for address in range(addresses.count) if addresses.is_neuron(address)]
    assert sorted(given) == legal
