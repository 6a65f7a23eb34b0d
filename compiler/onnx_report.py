"""The verdict on an ONNX graph, node by node."""

from dataclasses import dataclass

from spikeloom.compiler.errors import SpikeloomError
from spikeloom.compiler.ir import Network


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one node of the graph became, or why it cannot be lowered.

    Attributes
    ----------
    node : the node's name, or its first output where it has none
    meaning : what it became, such as "projection fc1", or the reason against it
    ok : whether it can be lowered; a node that no output needs is no obstacle
    """

    node: str
    operator: str
    meaning: str
    ok: bool = True

    @property
    def kind(self) -> str:
        """What the name stands for, in an error text."""
        graph_parts = (
            "graph",
            "input",
            "output",
            "initializer",
            "function",
            "opset",
            "metadata",
        )
        if self.operator in graph_parts:
            return f"graph {self.operator}".replace("graph graph", "graph")
        return f"{self.operator} node"


@dataclass(frozen=True, slots=True, eq=False)
class Report:
    """A verdict for each node, input and output of a graph, and the network if all are good."""

    verdicts: tuple[Verdict, ...]
    network: Network | None

    @property
    def ok(self) -> bool:
        """Whether the whole graph can be lowered."""
        return all(item.ok for item in self.verdicts)

    @property
    def refused(self) -> tuple[Verdict, ...]:
        """The verdicts that stand in the way."""
        return tuple(item for item in self.verdicts if not item.ok)

    def require(self) -> Network:
        """The network.

        Raises
        ------
        SpikeloomError
            If a node cannot be lowered: names the first one, its operator and the reason.
        """
        if self.network is not None:
            return self.network
        first, *others = self.refused
        error = SpikeloomError(f"{first.kind} '{first.node}': {first.meaning}")
        if others:
            error.add_note(f"and {len(others)} more; 'spikeloom check' lists them all")
        raise error
