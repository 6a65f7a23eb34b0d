"""Which networks can take each other's place in an accelerator whose weights can be loaded."""

import hashlib
import json
from dataclasses import asdict
from typing import Any

import numpy as np

from spikeloom.compiler.cores import Core
from spikeloom.compiler.errors import SpikeloomError
from spikeloom.compiler.fixed import Decay
from spikeloom.compiler.ir import Network, Projection
from spikeloom.compiler.program import Program
from spikeloom.compiler.weight_image import Words, encode, image_of, loaded_memories


def fingerprint(program: Program) -> int:
    """A number of 32 bits, the same for programs whose accelerators take the same images."""
    held = [
        [memory.core, memory.what, memory.rows.shape, memory.bits]
        for memory in loaded_memories(program.cores)
    ]
    text = json.dumps([_gates(program), held], sort_keys=True)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "little")


def weight_image(program: Program, other: Program) -> Words:
    """The image that puts another program's network into a program's accelerator.

    Raises
    ------
    SpikeloomError
        If weights cannot be loaded into it, or if the other network needs other gates.
    """
    name, network = program.network.name, other.network
    if not program.network.has_run_time_weights:
        raise SpikeloomError(
            f"the weights of program '{name}' are fixed; 'compile --weights reloadable' makes an "
            "accelerator that takes others"
        )
    for core, given in zip(program.cores, other.cores, strict=False):
        if given.biases.any() and core.bias_table.loaded is None:
            raise SpikeloomError(
                f"layer '{given.name}' of network '{network.name}' has biases; the accelerator of "
                f"'{name}' has none there"
            )
    _require_equal(_gates(program), _gates(other), f"network '{network.name}'")
    return image_of(encode(program.cores, other.cores), fingerprint(program))


def _require_equal(wanted: Any, found: Any, where: str) -> None:
    """Raise SpikeloomError at the first number that differs, named by the keys that lead to it."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        names = list(wanted) + [name for name in found if name not in wanted]
        for name in names:
            _require_equal(wanted.get(name), found.get(name), f"{where}, {name}")
    elif wanted != found:
        raise SpikeloomError(f"{where}: {found}; the accelerator was made for {wanted}")


def _gates(program: Program) -> dict[str, Any]:
    """What of a program is in the gates, so that no image changes it."""
    network = program.network
    readout = asdict(network.readout)
    return {
        "time steps": network.steps,
        "input": list(network.input.shape),
        **{f"events {key}": value for key, value in asdict(network.events).items()},
        "encoder on the chip": None if network.on_chip is None else str(network.on_chip),
        **{f"readout {key}": str(value) for key, value in readout.items() if key != "population"},
        **{
            f"layer {number}": _layer_gates(network, core)
            for number, core in enumerate(program.cores, 1)
        },
    }


def _layer_gates(network: Network, core: Core) -> dict[str, Any]:
    neuron = core.neuron
    numbers = {item.name: number for number, item in enumerate(network.populations)}
    return {
        "shape": list(network.population(core.name).shape),
        "lanes": core.lanes,
        "fire lanes": core.fire_lanes,
        "events per cycle": [source.events_per_cycle for source in core.sources],
        "events sent per cycle": core.sent_per_cycle,
        "width of weights": core.weight_bits,
        "reset": neuron.reset.value,
        "fires": neuron.fire,
        "single spike": neuron.single_spike,
        "decay": _decay(neuron.decay),
        "decay of currents": _decay(neuron.current_decay),
        "width of states": neuron.state_bits,
        "width of currents": neuron.current_bits,
        "width of sums": core.sum_bits,
        "width of membranes": neuron.accumulator_bits,
        **{
            f"projection of population {numbers[edge.pre]}": _projection(edge)
            for edge in network.projections_to(core.name)
        },
    }


def _projection(edge: Projection) -> dict[str, Any]:
    return {
        "shift": edge.weight_shift,
        "delay": edge.delay,
        "convolution": str(edge.convolution),
        "pooling": str(edge.pooling),
    }


def _decay(decay: Decay | None) -> str | None:
    if decay is None:
        return None
    factors = decay.multiplier
    if (factors == factors[0]).all():
        return f"{factors[0]} / {1 << decay.shift}"
    return f"{np.array2string(factors, threshold=1 << 20)} / {1 << decay.shift}"
