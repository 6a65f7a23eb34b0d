"""States in block RAM, and biases in the other half of its words."""

import pytest
from test_rtl_top import check

from networks import LayerOptions
from small_programs import small_program
from spikeloom.compiler.fixed import Reset
from spikeloom.sim.stimulus import Pauses
from wide_networks import random_events


def program_of(neurons=70, fire_lanes=1, current=None, **options):
    layer = LayerOptions(**{"weight_bits": 5, "state_bits": 12, "decay": "half", **options})
    return small_program(
        (6, neurons, 3), 4, fire_lanes, seed=9, steps=3, options=layer, current=current
    )


def agrees(program):
    check(program, random_events(program.network, 4, 1), Pauses(0.2, 0.3))


@pytest.mark.parametrize("reset", Reset)
@pytest.mark.parametrize("decay", ["half", "general"])
def test_biases_are_read_with_the_states(reset, decay):
    program = program_of(reset=reset, decay=decay)
    assert program.cores[0].has_biases_beside_states
    agrees(program)


def test_biases_of_several_lanes_lie_side_by_side():
    program = program_of(140, 2, state_bits=7)
    core = program.cores[0]
    assert core.has_biases_beside_states and core.rows == 70
    agrees(program)


@pytest.mark.parametrize(
    "options",
    [
        {"neurons": 60},
        {"neurons": 204, "fire_lanes": 3},
        {"neurons": 72, "per_neuron": False},
        {"current": 0.5},
    ],
    ids=str,
)
def test_biases_have_a_memory_of_their_own_where_there_is_no_room(options):
    """Few rows, wide rows, one bias for all, and biases that are added to a current."""
    program = program_of(**options)
    assert not program.cores[0].has_biases_beside_states
    agrees(program)
