"""Events of neighbouring neurons that travel together: how many, and which populations may."""

from spikeloom.compiler.addresses import Addresses, block_addresses
from spikeloom.compiler.cores import Core
from spikeloom.compiler.errors import SpikeloomError
from spikeloom.compiler.ir import Network, Population
from spikeloom.compiler.sources import value_bits, values_bits

LEGAL = (1, 2, 4, 8)

# Of a word of the accelerator's input, beside the mark of an end.
WORD_BITS = 31


def input_addresses(network: Network, events_per_cycle: int) -> Addresses:
    """Of the events that arrive: of the inputs, or of blocks of so many neighbouring ones."""
    return block_addresses(Addresses(network.input.shape), events_per_cycle)


def choices(network: Network) -> list[dict[str, int]]:
    """For each number of events per cycle the populations that can send so many at once."""
    found: list[dict[str, int]] = []
    for count in LEGAL:
        together = {item.name: count for item in network.populations if _may(network, item, count)}
        if together not in found:
            found.append(together)
    return found


def _may(network: Network, population: Population, count: int) -> bool:
    try:
        check_events_per_cycle(network, {population.name: count})
    except SpikeloomError:
        return False
    return count > 1


def check_events_per_cycle(network: Network, counts: dict[str, int]) -> None:
    """Raise SpikeloomError unless the populations can send so many events at once.

    Which is the case where all that take them are dense layers; the readout takes one spike at a
    time.

    Parameters
    ----------
    counts : per population; those that it does not name send one
    """
    names = [item.name for item in network.populations]
    for name, count in counts.items():
        if name not in names:
            raise SpikeloomError(
                f"events per cycle are given for '{name}', which is not a population "
                f"({', '.join(names)})"
            )
        if count not in LEGAL:
            raise SpikeloomError(
                f"population '{name}' cannot send {count} events per cycle; "
                f"wanted one of {', '.join(map(str, LEGAL))}"
            )
        if count > 1:
            _check_takers(network, name, count)


def _check_takers(network: Network, name: str, count: int) -> None:
    population = network.population(name)
    refused = f"population '{name}' cannot send {count} events per cycle, only 1"
    if count > population.size:
        raise SpikeloomError(f"{refused} .. {population.size}: it has no more neurons")
    if len(population.shape) == 3:
        raise SpikeloomError(
            f"{refused}: it has feature maps of shape {population.shape}, whose events a "
            "convolution takes one by one"
        )
    for edge in network.projections:
        post = network.population(edge.post)
        beside = network.projections_to(edge.post)
        if edge.pre == name and (
            len(post.shape) == 3 or any(len(network.population(e.pre).shape) == 3 for e in beside)
        ):
            raise SpikeloomError(
                f"{refused}: layer '{edge.post}' takes it beside feature maps, one event at a time"
            )
    if name == network.readout.population:
        raise SpikeloomError(f"{refused}: the readout takes its spikes one by one")
    if name == network.input.name and network.on_chip is None:
        _check_input(network, count, refused)


def _check_input(network: Network, count: int, refused: str) -> None:
    blocks = -(-network.input.size // count)
    each = value_bits(network.events.lowest, network.events.highest)
    wanted = max(1, (blocks - 1).bit_length()) + values_bits(each, count)
    if wanted > WORD_BITS:
        raise SpikeloomError(
            f"{refused}: a word of the accelerator's input has {WORD_BITS} bits for address and "
            f"values, and {count} events of '{network.input.name}' take {wanted}"
        )


def check_rows(core: Core) -> None:
    """Raise SpikeloomError if neurons whose spikes leave as one lie in two rows of the scan."""
    if not splits_events(core):
        return
    count = core.sent_per_cycle
    what, number = "fire lanes", core.fire_lanes
    if core.groups > 1 and core.lanes_per_group % count:
        what, number = "lanes", core.lanes_per_group
    raise SpikeloomError(
        f"layer '{core.name}' has {number} {what} and is to send {count} events per cycle; "
        f"wanted a multiple of {count}, so that they lie in one row of the fire scan"
    )


def splits_events(core: Core) -> bool:
    """Whether neurons whose spikes are to leave as one lie in two rows of the fire scan."""
    return any(start % core.sent_per_cycle for start in core.channel_starts)
