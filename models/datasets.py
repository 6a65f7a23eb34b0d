"""The data sets by name."""

from collections.abc import Callable
from pathlib import Path

from spikeloom.compiler.errors import SpikeloomError
from spikeloom.models import data
from spikeloom.models.cifar import cifar10
from spikeloom.models.data import Dataset
from spikeloom.models.idx import fashion_mnist, mnist, mnist16
from spikeloom.models.nmnist import nmnist
from spikeloom.models.sources import OnDownload, data_folder, quietly

Loader = Callable[[Path, int, OnDownload], Dataset]

FROM_FILES: dict[str, Loader] = {
    "mnist": mnist,
    "mnist16": mnist16,
    "fashion-mnist": fashion_mnist,
    "nmnist": nmnist,
    "cifar10": cifar10,
}

EMBEDDED: dict[str, Callable[[int], Dataset]] = {"digits": data.digits}

NAMES = (*EMBEDDED, *FROM_FILES)


def load(
    name: str, folder: Path | None = None, seed: int = 0, on_download: OnDownload = quietly
) -> Dataset:
    """Load a data set.

    Parameters
    ----------
    folder : holds the files; None for `$SPIKELOOM_DATA`, else a folder of Spikeloom's own
    seed : draws the validation samples
    on_download : told of progress, should files be missing and have to be fetched

    Raises
    ------
    SpikeloomError
        If there is no such data set, or files are missing or damaged.
    """
    if name in EMBEDDED:
        return EMBEDDED[name](seed)
    if name not in FROM_FILES:
        raise SpikeloomError(f"no data set '{name}'; wanted one of {list(NAMES)}")
    return FROM_FILES[name](data_folder(folder), seed, on_download)
