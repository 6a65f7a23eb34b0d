"""The ONNX operators of the domain `spikeloom`, version 1, and the functions that define them.

A layer of neurons over the whole window is one node. What the node means is a model-local function
stored in the same file, with a `Scan` over time inside, so that any ONNX runtime runs the file
without a plug-in. `docs/onnx-operators.md` is the specification for people.
"""

from string import Template

import onnx
import onnx.parser

DOMAIN = "spikeloom"
VERSION = 1
OPSET = 21
IR_VERSION = 10

NEURONS = ("Neuron", "RecurrentNeuron")
"""The operators of a trained network; `Fixed` before them gives those of a fixed one."""

# Membranes are `[T, N, ...]`; the parameters broadcast to the shape of one time step. The places to
# fill in are those where neurons with recurrence differ from those without.
_NEURON = """
<domain: "spikeloom", opset_import: ["" : 21]>
${name} <reset: string = "zero", compare: string = ">", fire: int = 1, single_spike: int = 0>
(current, ${weight}alpha, beta, threshold) => (spikes, membranes)
{
  reset = Constant <value_string: string = @reset> ()
  reset_zero = Constant <value_string: string = "zero"> ()
  reset_subtract = Constant <value_string: string = "subtract"> ()
  is_zero = Equal (reset, reset_zero)
  is_subtract = Equal (reset, reset_subtract)
  to_zero = CastLike (is_zero, current)
  to_subtract = CastLike (is_subtract, current)
  compare = Constant <value_string: string = @compare> ()
  at_least = Constant <value_string: string = ">="> ()
  inclusive = Equal (compare, at_least)
  fire = Constant <value_int: int = @fire> ()
  fires = Cast <to: int = 9> (fire)
  single_spike = Constant <value_int: int = @single_spike> ()
  single = CastLike (single_spike, current)
  first = Constant <value_int: int = 0> ()
  first_current = Gather <axis: int = 0> (current, first)
  rest = Sub (first_current, first_current)
  last_synaptic, last_membrane, last_fired, ${last}spikes, membranes = Scan <
    num_scan_inputs: int = 1,
    body: graph = step (synaptic, membrane, fired, ${given}) =>
        (next_synaptic, next_membrane, next_fired, ${kept}spike, potential) {
${recur}      decayed_synaptic = Mul (synaptic, alpha)
      next_synaptic = Add (decayed_synaptic, input)
      decayed_membrane = Mul (membrane, beta)
      potential = Add (decayed_membrane, next_synaptic)
      above = Greater (potential, threshold)
      equal = Equal (potential, threshold)
      touching = And (equal, inclusive)
      reached = Or (above, touching)
      firing = And (reached, fires)
      candidate = CastLike (firing, input)
      spent = Mul (fired, single)
      suppressed = Mul (candidate, spent)
      spike = Sub (candidate, suppressed)
${keep}      next_fired = Add (fired, spike)
      whole = Mul (potential, to_zero)
      step_down = Mul (threshold, to_subtract)
      amount = Add (whole, step_down)
      drop = Mul (spike, amount)
      next_membrane = Sub (potential, drop)
    }
  > (rest, rest, rest, ${rest}current)
}
"""

# All tensors are int64. Of each decay, `divisor` is 2 to the power of its shift and `half` is
# divisor / 2 (0 for a divisor of 1); `low` and `high` are the ends of the range of the state that
# it belongs to. Without a synaptic state, all of `current_` are 0 and the divisor is 1. ONNX has no
# arithmetic shift: taking off the non-negative remainder first makes the division exact, which is
# the same.
_FIXED_NEURON = """
<domain: "spikeloom", opset_import: ["" : 21]>
Fixed${name} <reset: string = "zero", fire: int = 1, single_spike: int = 0>
(current, ${weight}current_multiplier, current_divisor, current_half, current_low, current_high,
 multiplier, divisor, half, low, high, threshold) => (spikes, membranes)
{
  reset = Constant <value_string: string = @reset> ()
  reset_zero = Constant <value_string: string = "zero"> ()
  reset_subtract = Constant <value_string: string = "subtract"> ()
  is_zero = Equal (reset, reset_zero)
  is_subtract = Equal (reset, reset_subtract)
  to_zero = CastLike (is_zero, current)
  to_subtract = CastLike (is_subtract, current)
  fires = Constant <value_int: int = @fire> ()
  single = Constant <value_int: int = @single_spike> ()
  first = Constant <value_int: int = 0> ()
  first_current = Gather <axis: int = 0> (current, first)
  rest = Sub (first_current, first_current)
  last_synaptic, last_membrane, last_fired, ${last}spikes, membranes = Scan <
    num_scan_inputs: int = 1,
    body: graph = step (synaptic, membrane, fired, ${given}) =>
        (next_synaptic, next_membrane, next_fired, ${kept}spike, potential) {
${recur}      current_product = Mul (synaptic, current_multiplier)
      current_shifted = Add (current_product, current_half)
      current_remainder = Mod (current_shifted, current_divisor)
      current_exact = Sub (current_shifted, current_remainder)
      decayed_synaptic = Div (current_exact, current_divisor)
      accumulated = Add (decayed_synaptic, input)
      current_at_least_low = Max (accumulated, current_low)
      next_synaptic = Min (current_at_least_low, current_high)
      product = Mul (membrane, multiplier)
      shifted = Add (product, half)
      remainder = Mod (shifted, divisor)
      exact = Sub (shifted, remainder)
      decayed_membrane = Div (exact, divisor)
      potential = Add (decayed_membrane, accumulated)
      above = GreaterOrEqual (potential, threshold)
      reached = CastLike (above, input)
      candidate = Mul (reached, fires)
      spent = Mul (fired, single)
      suppressed = Mul (candidate, spent)
      spike = Sub (candidate, suppressed)
${keep}      next_fired = Max (fired, spike)
      whole = Mul (potential, to_zero)
      step_down = Mul (threshold, to_subtract)
      amount = Add (whole, step_down)
      drop = Mul (spike, amount)
      after_reset = Sub (potential, drop)
      at_least_low = Max (after_reset, low)
      next_membrane = Min (at_least_low, high)
    }
  > (rest, rest, rest, ${rest}current)
}
"""


_PLAIN = {
    "name": "Neuron",
    "weight": "",
    "given": "input",
    "kept": "",
    "recur": "",
    "keep": "",
    "last": "",
    "rest": "",
}

# The neurons' own spikes, `[N, neurons]`, act a time step later.
_RECURRENT = {
    "name": "RecurrentNeuron",
    "weight": "weight, ",
    "given": "before, given",
    "kept": "next_before, ",
    "recur": """      recurrent = MatMul (before, weight)
      input = Add (given, recurrent)
""",
    "keep": "      next_before = Identity (spike)\n",
    "last": "last_spikes, ",
    "rest": "rest, ",
}


def neuron_function(recurrent: bool = False) -> onnx.FunctionProto:
    """The definition of `spikeloom::Neuron`, the float neuron of a trained network.

    Parameters
    ----------
    recurrent : whether it is that of `spikeloom::RecurrentNeuron`
    """
    return _function(_NEURON, recurrent)


def fixed_neuron_function(recurrent: bool = False) -> onnx.FunctionProto:
    """The definition of `spikeloom::FixedNeuron`, the integer neuron of the accelerator.

    Parameters
    ----------
    recurrent : whether it is that of `spikeloom::FixedRecurrentNeuron`
    """
    return _function(_FIXED_NEURON, recurrent)


def _function(template: str, recurrent: bool) -> onnx.FunctionProto:
    text = Template(template).substitute(_RECURRENT if recurrent else _PLAIN)
    return onnx.parser.parse_function(text)
