"""Writes a result to bench/results/<name>.json with all that is needed to run it again and to judge it."""

from __future__ import annotations

import json
import math
import os
import platform
import re
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

BENCH = Path(__file__).resolve().parent
RESULTS = BENCH / "results"
PACKAGES = ("torch", "symusic", "numpy")


def record(
    name: str,
    figures: Mapping[str, Any],
    *,
    command: str,
    seed: int | None,
    data: str | Mapping[str, Any],
    tables: Sequence[Mapping[str, Any]] = (),
    folder: Path = RESULTS,
) -> Path:
    """Write the result, whole or not at all, and return where it lies.

    figures: numbers, nested as one likes; nan becomes null. command: as typed; of absolute paths only the last name is
    kept. data: what it ran on, with a fingerprint. tables: each {"title", "columns", "rows"} and, where wanted,
    "note"; `tables.py` prints them, or the figures themselves where there are none.
    """
    result = {
        "name": name,
        "figures": figures,
        "tables": list(tables),
        "command": shlex.join(_last_name(word) for word in shlex.split(command)),
        "seed": seed,
        "data": data,
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "commit": commit(),
        "machine": machine(),
        "versions": {"python": platform.python_version()} | {name: _version(name) for name in PACKAGES},
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(json.dumps(_finite(result), indent=1, ensure_ascii=False) + "\n", "utf-8")
    os.replace(partial, path)
    return path


def commit() -> dict[str, Any]:
    """The commit that ran, and whether files under version control differed from it."""
    head = _git("rev-parse", "HEAD")
    return {"id": head or None, "dirty": bool(_git("status", "--porcelain", "--untracked-files=no")) if head else None}


def machine() -> dict[str, Any]:
    """Processor, cores this process may use, memory and accelerator; nothing that names the machine."""
    processor = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.exists():
        names = [line.split(":", 1)[1].strip() for line in information.read_text().splitlines() if "model name" in line]
        processor = names[0] if names else processor
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = None
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        memory = round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    return {"processor": processor, "cores": cores, "memory_gib": memory, "system": platform.system()}


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], cwd=BENCH, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _last_name(word: str) -> str:
    parts = re.split("([=@])", word)  # such as --run=FOLDER or NAME=RUN@CORPUS
    return "".join(Path(part).name if Path(part).is_absolute() else part for part in parts)


def _finite(value: Any) -> Any:
    """JSON knows neither nan nor infinity, nor numpy's numbers."""
    if isinstance(value, Mapping):
        return {str(key): _finite(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and not math.isfinite(value) else value
