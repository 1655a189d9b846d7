"""The four frame-level benchmark sets of Boulanger-Lewandowski et al. (2012): trains FrameRNN on each, tests it once.

python bench/frame_likelihood.py --data FOLDER --runs FOLDER [--sets ...] [--heads ...] [--seeds 0 ...]

Of independent keys also the mean of the odds of each key over READINGS readings with some units dropped (Gal and
Ghahramani 2016), shared among the networks of all seeds: what is averaged is still 88 separate choices.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from record import record
from scipy.io import loadmat

from orchestrion.data.store import Corpus
from orchestrion.metrics.sets import ratio_interval
from orchestrion.models import checkpoint
from orchestrion.models.base import Recipe, Training
from orchestrion.models.zoo.frame_rnn import HEADS, FrameRNN, FrameRNNConfig, IndependentHead
from orchestrion.representations.frames import Frames
from orchestrion.training.trainer import Progress, train

FILES = {"jsb": "JSB_Chorales", "nottingham": "Nottingham", "musedata": "MuseData", "piano_midi": "Piano_midi"}
#: Test nats a step as published; the first three have independent keys.
PUBLISHED: dict[str, dict[str, float]] = {
    "LSTM": {"jsb": 8.45, "nottingham": 3.29},
    "TCN": {"jsb": 8.10, "nottingham": 3.07},
    "RRU": {"jsb": 7.72, "nottingham": 2.92, "musedata": 7.03, "piano_midi": 7.38},
    "RNN-NADE": {"jsb": 5.56, "nottingham": 2.31, "musedata": 5.60, "piano_midi": 7.05},
}
PUBLISHED_HEAD = {"LSTM": "independent", "TCN": "independent", "RRU": "independent", "RNN-NADE": "joint"}
READINGS, READING_DROPOUT = 15, 0.3  # chosen on the chorales' validation split
RATE = 8.0  # frames a second: a name for one, as the files say nothing of time


def read_rolls(folder: Path, name: str) -> dict[str, list[np.ndarray]]:
    """The rolls (T, 88) bool of each split."""
    told = loadmat(str(folder / f"{FILES[name]}.mat"))
    return {split: [roll.astype(bool) for roll in told[f"{split}data"][0]] for split in ("train", "valid", "test")}


@dataclass(frozen=True)
class RollPiece:
    """What the system asks of a piece of a corpus, for a roll."""

    roll: np.ndarray

    @property
    def seconds(self) -> float:
        return len(self.roll) / RATE

    def timed(self) -> np.ndarray:
        return Frames(RATE).decode(self.roll)


class RollCorpus(Corpus):
    """Rolls as a corpus, so that the house's own loop trains on them frame by frame as they are."""

    def __init__(self, rolls: dict[str, list[np.ndarray]]) -> None:
        digest = hashlib.sha256(b"".join(np.packbits(roll).tobytes() for split in rolls.values() for roll in split))
        super().__init__(Path(), {"fingerprint": digest.hexdigest()})
        self._splits = {split: tuple(RollPiece(roll) for roll in own) for split, own in rolls.items()}

    def pieces(self, split: str | None = None) -> Sequence[Any]:
        return self._splits[split] if split else [piece for own in self._splits.values() for piece in own]

    @property
    def encoder(self) -> None:  # type: ignore[override]
        return None


#: Of each set and head: steps, dropout and the share of pieces that is transposed, chosen on the validation splits.
CHOSEN = {
    ("jsb", "independent"): (2400, 0.35, 0.67),
    ("jsb", "joint"): (900, 0.25, 0.5),
    ("nottingham", "independent"): (1300, 0.15, 0.0),
    ("nottingham", "joint"): (1300, 0.15, 0.0),
    ("musedata", "independent"): (1300, 0.15, 0.0),
    ("musedata", "joint"): (1300, 0.15, 0.0),
    ("piano_midi", "independent"): (900, 0.25, 0.5),
    ("piano_midi", "joint"): (900, 0.25, 0.5),
}


def recipe(name: str, head: str) -> Recipe:
    """What is trained on a set."""
    steps, dropout, share = CHOSEN[name, head]
    window, windows = (128, 16) if name == "jsb" else (192, 11)  # no chorale is much longer
    config = FrameRNNConfig(
        head=head, dropout=dropout, transpose=5 if share else 0, transposed_share=share, steps_per_second=RATE,
        rate=3e-3,
        window=window, memory=window, windows=windows,
    )  # fmt: skip
    training = Training(steps=steps, warm_up_steps=50, decay_share=0.6, validate_every=150, validation_batches=6,
                        save_every=150)  # fmt: skip
    return Recipe(config, training)


def run(data: Path, folder: Path, name: str, head: str, seed: int) -> dict[str, Any]:
    """Train, or go on, and measure validation and test at the step that was best on validation; kept in the folder."""
    out = folder / f"{name}-{head}-{seed}"
    kept, chosen = out / "figures.json", recipe(name, head)
    config = dataclasses.asdict(chosen.config)
    if kept.exists():
        there = json.loads(kept.read_text())
        if (there["config"], there["steps"]) == (config, chosen.training.steps):
            return there
    rolls, began = read_rolls(data, name), time.process_time()
    corpus = RollCorpus(rolls)

    def told(progress: Progress) -> None:
        if progress.validation:
            figure = progress.validation["nats_per_step"]
            loss = progress.losses["adam"]
            print(f"{out.name}: step {progress.step}, loss {loss:.3f}, validation {figure:.3f}, "
                  f"{progress.seconds:.0f} s", flush=True)  # fmt: skip

    train("frame_rnn", chosen, corpus, out, seed=seed, told=told)
    seconds = time.process_time() - began
    system, _, notes = checkpoint.load(out / "checkpoints" / "best")
    assert isinstance(system, FrameRNN)
    system.eval()
    nats = {split: [system.roll_nats(roll).tolist() for roll in rolls[split]] for split in ("valid", "test")}
    figures = {
        "set": name, "head": head, "seed": seed, "nats": nats, "cpu_seconds": seconds, "step": notes["step"],
        "config": config, "steps": chosen.training.steps,
        "parameters": sum(p.numel() for p in system.parameters()), "fingerprint": corpus.info()["fingerprint"],
    }  # fmt: skip
    kept.write_text(json.dumps(figures))
    valid, test = (np.concatenate(nats[split]).mean() for split in ("valid", "test"))
    print(f"{out.name}: validation {valid:.3f}, test {test:.3f}, {seconds:.0f} s of one core", flush=True)
    return figures


def together(data: Path, folder: Path, name: str, seeds: Sequence[int]) -> list[list[float]]:
    """Nats of each frame of each test piece by the mean odds of the keys; kept in the folder."""
    kept = folder / f"{name}-independent-{'-'.join(map(str, seeds))}.json"
    if kept.exists():
        return json.loads(kept.read_text())
    systems = [checkpoint.load(folder / f"{name}-independent-{seed}" / "checkpoints" / "best")[0] for seed in seeds]
    torch.manual_seed(0)
    nats = []
    for roll in read_rolls(data, name)["test"]:
        odds = torch.zeros(roll.shape)
        for reading in range(READINGS):
            system = systems[reading % len(systems)].train()
            assert isinstance(system, FrameRNN)
            assert isinstance(system.head, IndependentHead)
            system.dropout.share = READING_DROPOUT
            with torch.inference_mode():
                odds += system.head.keys(system.roll_states(roll)).sigmoid() / READINGS
        lost = torch.nn.functional.binary_cross_entropy(odds, torch.from_numpy(roll).float(), reduction="none")
        nats.append(lost.sum(1).tolist())
    kept.write_text(json.dumps(nats))
    print(f"{name}, together: {np.concatenate(nats).mean():.3f}", flush=True)
    return nats


def summary(found: Sequence[Mapping[str, Any]], rng: np.random.Generator) -> dict[str, Any]:
    """Figures of one set and head over its seeds.

    test: nats a step, with its interval over the pieces, each with its mean over the seeds; without_first: with the
    first frame of each piece given, not predicted; mean_of_pieces: each piece counts alike; valid: as test, without
    interval; by_seed: test of each.
    """
    pieces = [np.mean([own["nats"]["test"][index] for own in found], axis=0) for index in range(pieces_in(found[0]))]
    sums, frames = np.array([piece.sum() for piece in pieces]), np.array([len(piece) for piece in pieces])
    later = np.array([piece[1:].sum() for piece in pieces])
    test = ratio_interval(sums, frames, rng)
    return {
        "test": {"mean": test.mean, "low": test.low, "high": test.high},
        "without_first": float(later.sum() / (frames - 1).sum()),
        "mean_of_pieces": float((sums / frames).mean()),
        "valid": float(np.mean([np.concatenate(own["nats"]["valid"]).mean() for own in found])),
        "by_seed": {str(own["seed"]): float(np.concatenate(own["nats"]["test"]).mean()) for own in found},
        "frames": int(frames.sum()),
        "pieces": len(frames),
        "minutes": float(np.mean([own["cpu_seconds"] for own in found]) / 60),
        "parameters": found[0]["parameters"],
        "steps": found[0]["steps"],
        "config": found[0]["config"],
    }


def pieces_in(figures: Mapping[str, Any]) -> int:
    return len(figures["nats"]["test"])


def told(results: Mapping[tuple[str, str], Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The tables: test figures beside published ones, and what else is to know of each run."""
    first = []
    for name, title in FILES.items():
        for head in HEADS:
            if (name, head) in results:
                figures = results[name, head]
                first.append([
                    title, head, figures["test"], figures["without_first"], figures.get("together"),
                    *(PUBLISHED[system].get(name) if PUBLISHED_HEAD[system] == head else None for system in PUBLISHED),
                ])  # fmt: skip
    second = [
        [FILES[name], head, figures["valid"], figures["mean_of_pieces"],
         ", ".join(f"{value:.3f}" for value in figures["by_seed"].values()), figures["steps"], figures["minutes"],
         figures["parameters"]]
        for (name, head), figures in results.items()
    ]  # fmt: skip
    return [
        {
            "title": "Frame-level piano rolls: nats a step on the test split",
            "columns": ["set", "keys of a frame", "FrameRNN", "without the first frame", "averaged", *PUBLISHED],
            "rows": first,
            "note": "Sum over the 88 keys, mean over all frames of all test pieces, as Boulanger-Lewandowski et al."
            " (2012) ask; brackets: bootstrap over pieces. Every frame is predicted after all before it, the first from"
            " nothing; TCN (Bai et al. 2018) leaves the first out, as the column beside does. Independent: the keys of"
            " a frame are 88 separate choices. Joint: the keys that sound are named from the lowest up, then the frame"
            " ends, which is a likelihood of the same 88 bits. Averaged: the odds of each key"
            f" over {READINGS} readings with {READING_DROPOUT:.0%} of the units dropped, of the networks of all seeds"
            " together. One model a run elsewhere, and the mean of the seeds; numbers and the step that is tested are"
            " chosen on the validation split. LSTM and TCN as in Bai et al.; RRU: Žakovskis et al. 2021; RNN-NADE:"
            " Boulanger-Lewandowski et al. 2012.",
        },
        {
            "title": "Frame-level piano rolls: the runs",
            "columns": ["set", "keys of a frame", "validation", "test, each piece alike", "test by seed", "steps",
                        "minutes of one core", "parameters"],
            "rows": second,
        },
    ]  # fmt: skip


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder with the four .mat files")
    parser.add_argument("--runs", type=Path, required=True, help="where runs are kept")
    parser.add_argument("--sets", nargs="+", default=list(FILES), choices=list(FILES))
    parser.add_argument("--heads", nargs="+", default=list(HEADS), choices=HEADS)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0], help="besides those that are there")
    parser.add_argument("--only-train", action="store_true", help="write no result")
    arguments = parser.parse_args(argv)
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    results, fingerprints = {}, {}
    for name in arguments.sets:
        for head in arguments.heads:
            there = {int(path.parent.name.rpartition("-")[2])
                     for path in arguments.runs.glob(f"{name}-{head}-*/figures.json")}  # fmt: skip
            seeds = sorted(there | set(arguments.seeds))
            found = [run(arguments.data, arguments.runs, name, head, seed) for seed in seeds]
            results[name, head], fingerprints[name] = summary(found, rng), found[0]["fingerprint"][:16]
            if head == "independent" and not arguments.only_train:
                pieces = together(arguments.data, arguments.runs, name, seeds)
                sums, frames = ([f(piece) for piece in pieces] for f in (sum, len))
                interval = ratio_interval(sums, frames, rng)
                results[name, head]["together"] = {"mean": interval.mean, "low": interval.low, "high": interval.high}
    if arguments.only_train:
        return
    record(
        "frame_likelihood",
        {f"{name}-{head}": figures for (name, head), figures in results.items()},
        command=shlex.join(["python", *sys.argv]),
        seed=arguments.seeds[0],
        data={"sets of Boulanger-Lewandowski et al. (2012)": ", ".join(f"{n} {f}" for n, f in fingerprints.items())},
        tables=told(results),
    )


if __name__ == "__main__":
    main()
