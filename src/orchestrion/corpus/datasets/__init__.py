"""The datasets that Orchestrion reads. One small file each; `Folder` takes any folder of music and comes last."""

from __future__ import annotations

from pathlib import Path

from orchestrion.corpus.dataset import Dataset
from orchestrion.corpus.datasets.asap import Asap
from orchestrion.corpus.datasets.band import Band
from orchestrion.corpus.datasets.commu import Commu
from orchestrion.corpus.datasets.emopia import Emopia
from orchestrion.corpus.datasets.folder import Folder
from orchestrion.corpus.datasets.groove import Groove
from orchestrion.corpus.datasets.jsb import Jsb
from orchestrion.corpus.datasets.lpd import Lpd
from orchestrion.corpus.datasets.maestro import Maestro
from orchestrion.corpus.datasets.mutopia import Mutopia
from orchestrion.corpus.datasets.nottingham import Nottingham
from orchestrion.corpus.datasets.openscore import OpenScoreLieder, OpenScoreQuartets
from orchestrion.corpus.datasets.pop909 import Pop909

DATASETS: tuple[Dataset, ...] = (
    Band(), Pop909(), Commu(), Emopia(), Groove(), Jsb(), Asap(), Maestro(), Lpd(),
    OpenScoreLieder(), OpenScoreQuartets(), Mutopia(), Nottingham(), Folder(),
)  # fmt: skip

#: Names of the datasets whose pieces are each one part of something.
SINGLE_PARTS = frozenset(dataset.name for dataset in DATASETS if dataset.single_parts)


def recognise(directory: str | Path) -> Dataset:
    """Who reads the folder: the first of DATASETS that knows it by its files, else any folder of music."""
    return next(dataset for dataset in DATASETS if dataset.recognises(Path(directory)))
