"""Where an accelerator has its weights from; the command line asks this without loading numpy."""

from typing import Literal

WeightStorage = Literal["fixed", "reloadable", "loaded"]
"""Where weights, thresholds and biases come from: they are part of the bitstream; they are, and
others can be loaded while the accelerator works; they have to be loaded before the first sample."""
