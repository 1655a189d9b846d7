"""Put the best weights of a run into the package, under the name of its system, as half-precision numbers, which
halve their size.

python runs/ship.py RUN
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

import orchestrion

WEIGHTS = Path(orchestrion.__file__).parent / "weights"
LIMIT_BYTES = 16 * 2**20
KEPT = ("format", "system", "config", "step", "validation", "encoder")


def main(run: Path) -> None:
    best = run / "checkpoints" / "best"
    notes = json.loads((best / "config.json").read_text())
    weights = {
        name: value.to(torch.float16) if value.is_floating_point() else value
        for name, value in load_file(best / "model.safetensors").items()
    }
    if not all(value.isfinite().all() for value in weights.values()):
        raise SystemExit("a weight does not fit into half precision")
    target = WEIGHTS / notes["system"]
    target.mkdir(parents=True, exist_ok=True)
    save_file(weights, target / ".model.safetensors")
    size = (target / ".model.safetensors").stat().st_size
    if size > LIMIT_BYTES:
        raise SystemExit(f"{size} bytes are more than the {LIMIT_BYTES} that may be committed")
    (target / ".config.json").write_text(json.dumps({key: notes[key] for key in KEPT if key in notes}, indent=1) + "\n")
    for name in ("model.safetensors", "config.json"):
        os.replace(target / f".{name}", target / name)
    print(f"{size / 2**20:.1f} MiB of step {notes['step']}, {sum(w.numel() for w in weights.values())} weights")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    main(Path(sys.argv[1]))
