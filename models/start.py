"""The networks that a training may start from: a checkpoint, or a network of the zoo.

A network of the zoo is an ONNX file with its model card beside it, as `spikeloom zoo NAME -o DIR`
copies them out; no checkpoint is needed to train it on for few bits or for a longer window.
"""

from pathlib import Path

import numpy as np
import onnx
import torch
from torch import nn

from spikeloom.compiler.errors import SpikeloomError
from spikeloom.compiler.onnx_import import load_model
from spikeloom.compiler.operator import DOMAIN
from spikeloom.models import cards, checkpoint
from spikeloom.models.neuron import Parameters
from spikeloom.models.recipe import Recipe
from spikeloom.models.trained import Start


@torch.no_grad()
def start_from(path: Path, recipe: Recipe, module: nn.Sequential) -> Start:
    """Give a recipe's network the weights, biases and learned parameters of a trained one.

    The time steps, the encoder and the fixed numbers of the neurons stay the recipe's.

    Raises
    ------
    SpikeloomError
        As `spikeloom.models.checkpoint.load` does; if an ONNX file has no model card beside it that
        describes it; if the file is of another network.
    """
    trained, module_of_file = _load(path)
    weights = dict(module_of_file.named_parameters())
    wanted = dict(module.named_parameters())
    for what, found, needed in (
        ("network", trained.full_notation, recipe.full_notation),
        *(
            (f"'{name}' of shape", _shape(weights.get(name)), _shape(wanted.get(name)))
            for name in sorted(weights.keys() | wanted.keys())
        ),
    ):
        if found != needed:
            raise SpikeloomError(
                f"'{path}' has {what} {found}, but recipe '{recipe.name}' has {needed}"
            )
    for name, parameter in wanted.items():
        parameter.copy_(weights[name])
    training = trained.training
    return Start(
        file=path.name,
        sha256=cards.file_entry(path)["sha256"],
        steps=trained.encoder.steps,
        epochs=training.epochs,
        weight_bits=training.weight_bits,
        seed=training.seed,
    )


def _load(path: Path) -> tuple[Recipe, nn.Sequential]:
    if path.suffix != ".onnx":
        stored = checkpoint.load(path)
        return stored.recipe, stored.module
    model = load_model(path)
    card = cards.read_file(path.with_suffix(".json"))
    if card["file"] != cards.file_entry(path):
        raise SpikeloomError(
            f"'{path}' is not the network in floats that '{path.with_suffix('.json')}' describes; "
            f"'spikeloom zoo {card['name']}' copies both out"
        )
    recipe = Recipe.from_json(card["recipe"])
    return recipe, network_of(model, recipe)


def _shape(parameter: nn.Parameter | None) -> tuple[int, ...] | None:
    return None if parameter is None else tuple(parameter.shape)


def network_of(model: onnx.ModelProto, recipe: Recipe) -> nn.Sequential:
    """The torch network of an exported model: the recipe's, with the numbers of the file."""
    values = {
        item.name: torch.from_numpy(np.array(onnx.numpy_helper.to_array(item)))
        for item in model.graph.initializer
    }
    module = recipe.build()
    numbers = module.state_dict()
    numbers |= {name: item for name, item in values.items() if name in numbers}
    for node in model.graph.node:
        if node.op_type == "MatMul":
            numbers[node.input[1]] = values[node.input[1]].T
        elif node.domain == DOMAIN:
            # Layers whose numbers are equal share them in the file.
            for name, source in zip(Parameters._fields, node.input[1:], strict=True):
                numbers[f"{node.name}.{name}"] = values[source]
    module.load_state_dict(numbers)
    return module
