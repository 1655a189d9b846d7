"""The datasets that Orchestrion reads. One small file each; `Folder` takes any folder of music and comes last."""

from __future__ import annotations

from pathlib import Path

from orchestrion.data.dataset import Dataset
from orchestrion.data.datasets.asap import Asap
from orchestrion.data.datasets.band import Band
from orchestrion.data.datasets.commu import Commu
from orchestrion.data.datasets.emopia import Emopia
from orchestrion.data.datasets.folder import Folder
from orchestrion.data.datasets.groove import Groove
from orchestrion.data.datasets.jsb import Jsb
from orchestrion.data.datasets.lpd import Lpd
from orchestrion.data.datasets.maestro import Maestro
from orchestrion.data.datasets.mutopia import Mutopia
from orchestrion.data.datasets.nottingham import Nottingham
from orchestrion.data.datasets.openscore import OpenScoreLieder, OpenScoreQuartets
from orchestrion.data.datasets.pop909 import Pop909

DATASETS: tuple[Dataset, ...] = (
    Band(), Pop909(), Commu(), Emopia(), Groove(), Jsb(), Asap(), Maestro(), Lpd(),
    OpenScoreLieder(), OpenScoreQuartets(), Mutopia(), Nottingham(), Folder(),
)  # fmt: skip

#: Names of the datasets whose pieces are each one part of something.
SINGLE_PARTS = frozenset(dataset.name for dataset in DATASETS if dataset.single_parts)


def recognise(directory: str | Path) -> Dataset:
    """Who reads the folder: the first of DATASETS that knows it by its files, else any folder of music."""
    return next(dataset for dataset in DATASETS if dataset.recognises(Path(directory)))
