"""Drives the control port: writes and reads one after the other, with pauses on all channels."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from spikeloom.compiler.exchange import weight_image
from spikeloom.compiler.program import Program
from spikeloom.compiler.weight_image import Words
from spikeloom.rtl.control_port import STROBES, ControlInput, ControlPortModel
from spikeloom.rtl.weight_loader import Register

WHOLE = (1 << STROBES) - 1


@dataclass(frozen=True, slots=True)
class Access:
    """A write of `data`, or a read where it is None.

    Attributes
    ----------
    address : in bytes
    strobes : which bytes are written
    """

    address: int
    data: int | None = None
    strobes: int = WHOLE


def address_of(register: Any) -> int:
    """The address of a `Register` in bytes."""
    return int(register.value) * 4


def load_image(image: Words) -> list[Access]:
    """What writes an image, and then reads the status."""
    words = [Access(address_of(Register.WORD), int(word)) for word in np.asarray(image)]
    begin = Access(address_of(Register.BEGIN), 0)
    return [begin, *words, Access(address_of(Register.STATUS))]


def load_own_weights(program: Program) -> list[Access]:
    """What loads a program's own weights into its accelerator; nothing where they are fixed."""
    if not program.network.has_run_time_weights:
        return []
    return load_image(weight_image(program, program))


class ControlDriver:
    """The manager of an AXI4-Lite port, told of each clock edge by the port's model.

    Parameters
    ----------
    accesses : one after the other
    pause : share of clock cycles in which a channel that could go on does not, 0 .. 1
    seed : of the pauses

    Attributes
    ----------
    answers : of each access that is done its response and, of a read, the data
    """

    def __init__(self, accesses: Sequence[Access], pause: float = 0.0, seed: int = 0) -> None:
        self.accesses = list(accesses)
        self.random = random.Random(f"control {seed}")
        self.pause = pause
        self.answers: list[tuple[int, int | None]] = []
        self.sent = {"aw": False, "w": False, "ar": False}
        self.offered = dict.fromkeys(self.sent, False)
        self.ready = False

    @property
    def done(self) -> bool:
        """Whether all accesses have been answered."""
        return len(self.answers) == len(self.accesses)

    @property
    def access(self) -> Access | None:
        """The access that is under way."""
        return None if self.done else self.accesses[len(self.answers)]

    def _goes_on(self) -> bool:
        return not self.pause or self.random.random() >= self.pause

    def go_on(self) -> ControlInput:
        """What is driven to the next rising edge; what was offered stays until it is taken."""
        access = self.access
        if access is None:
            return ControlInput()
        channels = ("ar",) if access.data is None else ("aw", "w")
        for channel in channels:
            if not self.sent[channel] and not self.offered[channel]:
                self.offered[channel] = self._goes_on()
        self.ready = self._goes_on()
        return ControlInput(
            awaddr=access.address if self.offered["aw"] else 0,
            awvalid=self.offered["aw"],
            wdata=(access.data or 0) if self.offered["w"] else 0,
            wstrb=access.strobes if self.offered["w"] else 0,
            wvalid=self.offered["w"],
            bready=self.ready,
            araddr=access.address if self.offered["ar"] else 0,
            arvalid=self.offered["ar"],
            rready=self.ready,
        )

    def edge(self, port: ControlPortModel) -> None:
        """See what the coming edge does; the model has not gone on yet."""
        ready = {"aw": not port.address_held, "w": not port.data_held, "ar": not port.rvalid}
        for channel, offered in self.offered.items():
            if offered and ready[channel]:
                self.offered[channel], self.sent[channel] = False, True
        answer: tuple[int, int | None] | None = None
        if port.bvalid and self.ready:
            answer = port.bresp, None
        if port.rvalid and self.ready:
            answer = port.rresp, port.rdata
        if answer is not None:
            self.answers.append(answer)
            self.sent = dict.fromkeys(self.sent, False)
