"""Any folder of MIDI and MusicXML files, with what its owner writes of them in `metadata.csv`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from symusic import Score

from orchestrion.data.dataset import SPLIT_NAMES, Dataset, Item, existing, read_item, read_table
from orchestrion.data.store import CorpusError
from orchestrion.music.files import SUFFIXES
from orchestrion.music.theory import Key, Meter

METADATA = "metadata.csv"
_SEVERAL = ("genre", "mood")  # columns that hold several words, parted by |
_READ: dict[str, Callable[[str], str | float]] = {
    "tempo": float,  # quarter notes a minute
    "key": lambda text: Key.parse(text).name,
    "meter": lambda text: Meter.parse(text).name,
}


class Folder(Dataset):
    """Files found in the folder and below it, in the order of their paths.

    `metadata.csv` is optional and may leave files out. Columns: path; split (train, valid, test); group; and facts such
    as genre, mood (several parted by |), emotion, composer, style, key, meter, tempo, role, licence, source, caption.
    """

    name = "folder"
    licence = "as the owner of the files says"
    source = "files of the user"

    def recognises(self, directory: Path) -> bool:
        return directory.is_dir()

    def items(self, root: Path) -> list[Item]:
        table = read_table(root / METADATA) if (root / METADATA).exists() else []
        if table and "path" not in table[0]:
            raise CorpusError(f"{root / METADATA} has no column 'path'; the first line names the columns")
        facts = {row["path"].replace("\\", "/"): row for row in table}
        existing(root, [Item(path, path, path, None, {}) for path in facts])
        files = (path for path in root.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
        paths = sorted(path.relative_to(root).as_posix() for path in files)
        return [self._item(path, facts.get(path, {})) for path in paths if not Path(path).name.startswith(".")]

    def _item(self, path: str, row: dict[str, str]) -> Item:
        facts: dict[str, str | float | list[str]] = {}
        for column, value in row.items():
            if not value.strip() or column in ("path", "split", "group"):
                continue
            if column in _SEVERAL:
                facts[column] = [word.strip().lower() for word in value.split("|") if word.strip()]
            else:
                try:
                    facts[column] = _READ.get(column, str.strip)(value)
                except ValueError as error:
                    raise CorpusError(f"{METADATA}, {column} of {path}: {error}") from error
        split = row.get("split", "").strip()
        if split not in SPLIT_NAMES:
            raise CorpusError(f"{METADATA}: the split of {path} is {split!r}, expected train, valid or test")
        return Item(f"{self.name}/{path}", path, row.get("group") or path, SPLIT_NAMES[split], facts)

    def load(self, root: Path, item: Item) -> Score:
        return read_item(root, item)
