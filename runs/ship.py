"""The best weights of a run as half-precision numbers, which halve their size: into the package, under the name of its
system; or into small files, to bring them from a machine that gives no large ones back, and together again.

python runs/ship.py RUN
python runs/ship.py parts RUN FOLDER
python runs/ship.py join FOLDER CHECKPOINT
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, load_file, save_file
from torch import Tensor

import orchestrion

WEIGHTS = Path(orchestrion.__file__).parent / "models" / "weights"
LIMIT_BYTES = 16 * 2**20
PART_BYTES = 15 * 2**20
HEADER_BYTES = 256  # of a tensor in a file, at most
KEPT = ("format", "system", "config", "step", "validation", "encoder")


def halved(checkpoint: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The weights of a checkpoint in half precision, and what is kept of its notes."""
    notes = json.loads((checkpoint / "config.json").read_text())
    weights = {
        name: value.to(torch.float16) if value.is_floating_point() else value
        for name, value in load_file(checkpoint / "model.safetensors").items()
    }
    if not all(value.isfinite().all() for value in weights.values()):
        raise SystemExit("a weight does not fit into half precision")
    return weights, {key: notes[key] for key in KEPT if key in notes}


def ship(run: Path) -> None:
    """Put the best weights of a run into the package."""
    weights, notes = halved(run / "checkpoints" / "best")
    target = WEIGHTS / notes["system"]
    target.mkdir(parents=True, exist_ok=True)
    save_file(weights, target / ".model.safetensors")
    size = (target / ".model.safetensors").stat().st_size
    if size > LIMIT_BYTES:
        raise SystemExit(f"{size} bytes are more than the {LIMIT_BYTES} that may be committed")
    (target / ".config.json").write_text(json.dumps(notes, indent=1) + "\n")
    for name in ("model.safetensors", "config.json"):
        os.replace(target / f".{name}", target / name)
    print(f"{size / 2**20:.1f} MiB of step {notes['step']}, {sum(w.numel() for w in weights.values())} weights")


def write_parts(checkpoint: Path, out: Path, limit: int = PART_BYTES) -> list[Path]:
    """A checkpoint as config.json and weights-1-of-5.safetensors ..., each of at most `limit` bytes, the fewest that
    hold its weights in half precision."""
    weights, notes = halved(checkpoint)
    groups: list[tuple[int, dict[str, Tensor]]] = []
    for name, value in sorted(weights.items(), key=lambda item: item[1].nbytes, reverse=True):  # the first with room
        size = value.nbytes + HEADER_BYTES
        if size > limit:
            raise SystemExit(f"{name} alone takes {size} bytes, more than the {limit} of a part")
        for place, (taken, group) in enumerate(groups):
            if taken + size <= limit:
                group[name] = value
                groups[place] = taken + size, group
                break
        else:
            groups.append((size, {name: value}))
    out.mkdir(parents=True, exist_ok=True)
    paths = [out / f"weights-{number}-of-{len(groups)}.safetensors" for number in range(1, len(groups) + 1)]
    for path, (_, group) in zip(paths, groups, strict=True):
        save_file(group, path)
    notes["parts"] = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}
    (out / "config.json").write_text(json.dumps(notes, indent=1) + "\n")
    return paths


def join(parts: Path, checkpoint: Path) -> None:
    """The checkpoint that `write_parts` took apart, as a folder that `orchestrion compose --model` plays."""
    try:
        notes = json.loads((parts / "config.json").read_text())
        weights: dict[str, Tensor] = {}
        for name, digest in notes.pop("parts").items():
            data = (parts / name).read_bytes()
            if hashlib.sha256(data).hexdigest() != digest:
                raise SystemExit(f"{parts / name} is damaged or of another checkpoint; bring it again")
            weights |= load(data)
    except (OSError, ValueError, LookupError, AttributeError, SafetensorError) as error:
        raise SystemExit(f"{parts} does not hold a checkpoint in parts: {error}") from None
    if checkpoint.exists():
        raise SystemExit(f"{checkpoint} is there already; choose another folder or delete it")
    made = checkpoint.with_name(f".{checkpoint.name}.new.{os.getpid()}")
    made.mkdir(parents=True)
    try:
        save_file(weights, made / "model.safetensors")
        (made / "config.json").write_text(json.dumps(notes, indent=1) + "\n")
        os.rename(made, checkpoint)
    finally:
        shutil.rmtree(made, ignore_errors=True)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["parts", run, folder]:
            for path in write_parts(Path(run) / "checkpoints" / "best", Path(folder)):
                print(path)
        case ["join", folder, checkpoint]:
            join(Path(folder), Path(checkpoint))
        case [run]:
            ship(Path(run))
        case _:
            raise SystemExit(__doc__)
