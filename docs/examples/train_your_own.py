"""Train a network of your own on scikit-learn's digits, and export it: train_your_own.py FILE."""

import sys
from pathlib import Path

from torch import nn

from spikeloom.models import data, encoders, export, layers, stbp
from spikeloom.models.loop import fit
from spikeloom.models.optimisers import Training


def main(path: Path) -> None:
    digits, encoder = data.digits(), encoders.EvenlySpaced(steps=8)
    network = nn.Sequential(
        nn.Linear(64, 32),
        layers.Spiking(beta=0.5, threshold=0.3),
        nn.Linear(32, 10),
        layers.Spiking(beta=0.5, threshold=0.3),
        layers.SpikeCount(),
    )
    training = Training(epochs=10, batch=64, learning_rate=5e-3)
    best = fit(network, digits, encoder, stbp.Stbp(), training).best
    print(f"validation accuracy {best.accuracy:.1%}, epoch {best.epoch}")
    export.export(network, path, encoder.steps, (64,), encoder)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
