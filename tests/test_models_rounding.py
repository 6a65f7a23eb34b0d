"""Quantisation-aware training computes what the compiler makes of the network."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from spikeloom.compiler import reference
from spikeloom.compiler.errors import SpikeloomError
from spikeloom.compiler.inputs import read_events
from spikeloom.compiler.ir import FixedNeuron, Network, Precision
from spikeloom.compiler.onnx_import import import_network
from spikeloom.compiler.passes import lower
from spikeloom.models.algorithm import Algorithm
from spikeloom.models.encoders import (
    Bernoulli,
    ConstantCurrent,
    Encoder,
    EvenlySpaced,
    TimeToFirstSpike,
)
from spikeloom.models.export import convert
from spikeloom.models.layers import Recurrent, SpikeCount, Spiking, record_spikes
from spikeloom.models.networks import Architecture, build
from spikeloom.models.recipes import find
from spikeloom.models.rounding import Rounding
from spikeloom.models.spikebp import SpikeBased
from spikeloom.models.stateless import AvgPool2d, Conv2d
from spikeloom.models.stbp import Stbp
from spikeloom.models.stdbp import Stdbp
from spikeloom.models.train import train
from spikeloom.models.tssl import Tssl


def network_of(seed: int, beta: float, threshold: float, reset: str = "zero") -> nn.Sequential:
    torch.manual_seed(seed)
    neurons = {"beta": beta, "threshold": threshold, "reset": reset}
    return nn.Sequential(
        nn.Linear(20, 15),
        Spiking(**neurons),  # type: ignore[arg-type]  # texts and numbers in one dictionary
        nn.Linear(15, 6),
        Spiking(**neurons, compare=">="),  # type: ignore[arg-type]
        SpikeCount(),
    )


def compiled(module: nn.Module, spikes: torch.Tensor, bits: int) -> Network:
    model = convert(module, len(spikes), tuple(spikes.shape[2:]))
    return lower(import_network(model, "network", Precision(weight_bits=bits)))


def random_spikes(steps: int, samples: int, inputs: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return (torch.rand(steps, samples, inputs, generator=generator) < 0.4).float()


@pytest.mark.parametrize(
    ("bits", "beta", "threshold", "reset"),
    [
        (2, 0.5, 0.3, "zero"),
        (3, 0.9, 1.0, "subtract"),
        (4, 1.0, 0.7, "none"),
        (8, 0.2, 0.5, "zero"),
    ],
)
def test_rounded_network_is_the_integer_reference(
    bits: int, beta: float, threshold: float, reset: str
) -> None:
    module = network_of(bits, beta, threshold, reset)
    spikes = random_spikes(12, 40, 20)
    rounding = Rounding(module, spikes, bits)
    before = {name: item.clone() for name, item in module.state_dict().items()}
    with rounding.applied():
        with torch.no_grad():
            recorded = record_spikes(module, spikes)
        rounded = {name: item.clone() for name, item in module.state_dict().items()}
    for name, item in module.state_dict().items():
        assert torch.equal(item, before[name])
    assert all(layer.window is None for layer in module if isinstance(layer, Spiking))

    module.load_state_dict(rounded)
    fixed = compiled(module, spikes, bits)
    for group, (step,), edge, layer in zip(
        rounding.groups, rounding.steps, fixed.projections, fixed.layers, strict=True
    ):
        (linear,) = group.weighted
        assert np.array_equal(edge.weight * step, _array(linear.weight))
        assert isinstance(layer.neuron, FixedNeuron)
        assert np.array_equal(layer.neuron.bias * layer.neuron.scale, _array(linear.bias))
    trace = reference.run(fixed, spikes.numpy().astype(np.uint8))
    for layer, spikes_of_layer in zip(fixed.layers, recorded.spikes.values(), strict=True):
        assert np.array_equal(spikes_of_layer.numpy(), trace.spikes[layer.name])
    assert np.array_equal(recorded.output.numpy(), trace.scores)


def _array(tensor: torch.Tensor | None) -> np.ndarray:
    assert tensor is not None
    return tensor.detach().double().numpy()


def test_rounding_rounded_weights_changes_nothing() -> None:
    for bits in (2, 3, 4, 8):
        module = network_of(bits, 0.5, 0.3)
        rounding = Rounding(module, random_spikes(2, 1, 20), bits)
        with rounding.applied():
            rounded = {name: item.clone() for name, item in module.state_dict().items()}
        module.load_state_dict(rounded)
        again = Rounding(module, random_spikes(2, 1, 20), bits)
        assert again.steps == rounding.steps
        with again.applied():
            for name, item in module.state_dict().items():
                assert torch.equal(item, rounded[name])


def test_gradients_pass_the_rounding() -> None:
    module = network_of(0, 0.5, 0.3)
    spikes = random_spikes(6, 10, 20)
    with Rounding(module, spikes, 4).applied():
        module(spikes).sum().backward()
    for parameter in module.parameters():
        assert parameter.grad is not None
        assert float(parameter.grad.abs().max()) > 0


def test_few_bits_saturate_rather_than_lose_the_small_weights() -> None:
    module = network_of(0, 0.5, 0.3)
    first = module[0]
    assert isinstance(first, nn.Linear)
    first.weight.data[0, 0] = 1
    rounding = Rounding(module, random_spikes(2, 1, 20), 3)
    with rounding.applied():
        assert int((first.weight != 0).sum()) > 100


def test_pooling_before_a_layer_counts_as_a_factor_on_its_weights() -> None:
    torch.manual_seed(0)
    pooled = nn.Sequential(
        Conv2d(1, 3, 3), Spiking(), AvgPool2d(2), nn.Flatten(2), nn.Linear(12, 4), Spiking()
    )
    spikes = random_spikes(4, 2, 36).reshape(4, 2, 1, 6, 6)
    rounding = Rounding(pooled, spikes, 8)
    assert [group.gains for group in rounding.groups] == [(1.0,), (0.25,)]
    with rounding.applied():
        potentials: list[torch.Tensor] = []
        last = pooled[-1]
        assert isinstance(last, Spiking)
        current = pooled[:-1](spikes)
        potentials.append(last.integrate(current).potentials)
        assert last.window is not None
        units = potentials[0] / last.window.scale  # type: ignore[attr-defined]  # a FixedWindow
        assert torch.equal(units, units.round())


@pytest.mark.parametrize(
    ("algorithm", "encoder", "bits"),
    [
        (Stbp(0.5, 0.3), EvenlySpaced(5), 4),
        (Tssl(5, 3), ConstantCurrent(5, (0.13,), (0.3,)), 4),
        (SpikeBased(), Bernoulli(20), 8),
        (Stdbp(8.0, mean_drive=3.0), TimeToFirstSpike(24, t_max=7), 4),
    ],
    ids=lambda value: type(value).__name__,
)
def test_every_algorithm_trains_on_the_integers_of_the_compiler(
    algorithm: Algorithm, encoder: Encoder, bits: int
) -> None:
    shape, samples = (1, 12, 12), 30
    torch.manual_seed(0)
    module = build("4C3p1-P2-12-5", shape, algorithm)
    coded = encoder(np.random.default_rng(0).random((samples, *shape)))
    inputs, labels = torch.from_numpy(coded.astype(np.float32)), torch.arange(samples) % 5
    with Rounding(module, inputs, bits, encoder.events).applied():
        judged = algorithm.judge(module, inputs, labels)
        judged.loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        with torch.no_grad():
            recorded = record_spikes(module, inputs)
        rounded = {name: item.clone() for name, item in module.state_dict().items()}
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None, name
        assert float(parameter.grad.abs().max()) > 0, name

    module.load_state_dict(rounded)
    model = convert(module, encoder.steps, shape, encoder)
    fixed = lower(import_network(model, "network", Precision(weight_bits=bits)))
    trace = reference.run(fixed, read_events(fixed, coded))
    for name in ("hidden1", "hidden2", "output"):
        spikes = recorded.spikes[name].numpy().reshape(encoder.steps, samples, -1)
        assert np.array_equal(spikes, trace.spikes[name]), name
    assert trace.spikes["hidden2"].any()
    assert np.array_equal(judged.scores.argmax(1).numpy(), trace.classes)


def test_network_with_nothing_to_round_is_refused() -> None:
    with pytest.raises(SpikeloomError, match="no layer with weights feeds a layer of neurons"):
        Rounding(nn.Sequential(Spiking()), torch.zeros(2, 1, 3), 4)


@pytest.mark.parametrize("bits", [2, 4])
def test_trained_network_classifies_as_its_integers_do(bits: int) -> None:
    recipe = replace(
        find("digits").with_training(epochs=4, weight_bits=bits),
        network=Architecture("16-10", (64,), "test"),
    )
    trained = train(recipe)
    test = recipe.load_data().test
    coded = recipe.code(test, 0, test.size)
    network = compiled(trained.module, torch.from_numpy(coded), bits)
    assert np.abs(network.projections[0].weight).max() == (1 << (bits - 1)) - 1
    trace = reference.run(network, coded.astype(np.uint8))
    assert trained.test_rounded is not None
    assert float((trace.classes == test.labels).mean()) == trained.test_rounded.accuracy
    assert trained.test_rounded.accuracy > 0.5


def test_a_step_stays_while_it_serves() -> None:
    """Else every epoch would round all weights anew, and undo what the last one learned."""
    module = network_of(0, 0.5, 0.3)
    rounding = Rounding(module, random_spikes(2, 1, 20), 4)
    first = [list(steps) for steps in rounding.steps]
    linear = rounding.groups[0].weighted[0]
    with torch.no_grad():
        linear.weight *= 1.03
    assert Rounding(module, random_spikes(2, 1, 20), 4).steps[0] != first[0]
    rounding.choose_steps()
    assert rounding.steps == first
    for factor in (3, 0.1):
        with torch.no_grad():
            linear.weight *= factor
        rounding.choose_steps()
        assert rounding.steps == Rounding(module, random_spikes(2, 1, 20), 4).steps


def test_a_recurrent_layer_is_refused() -> None:
    module = nn.Sequential(nn.Linear(20, 4), Recurrent(4))
    with pytest.raises(SpikeloomError, match="recurrent layer cannot be trained for few bits yet"):
        Rounding(module, random_spikes(2, 1, 20), 4)
