"""What relative attention costs: a step of training against plain attention, and steps with a cache against re-reading.

    taskset -c 1 python bench/attention_speed.py [--rounds 5] [--slow-rounds 2] [--seed 0]

A stack of 6 blocks, 256 wide, 8 heads, network 1,024 wide, batch of 2, forward and backward without embedding, logits
and optimizer, on one thread. All forms take turns in one process, and processor time is counted, so that other work on
the machine falls on all alike. Peak memory is that of a process that takes a step of one form, less that of one that
takes a step of 8 tokens.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shlex
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from time import process_time
from typing import Any

import torch
import torch.nn.functional as F
from record import RESULTS, record
from torch import Tensor, nn

from orchestrion.models.layers.attention import Attention
from orchestrion.models.layers.relative import RelativeAttention
from orchestrion.models.layers.skewing import skewed

BATCH, WIDTH, LAYERS, HEADS, NETWORK = 2, 256, 6, 8, 1024
LENGTHS, PRECISIONS = (1024, 2048), ("float32", "bf16")
REACHES = {"pitch": 24, "time": 64}
FACTORS = {1024: (1.35, 1.2), 2048: (1.65, 1.4)}  # of plain attention: must reach, aim


class PlainAttention(Attention):
    """Without positions of any kind, as the ceiling."""

    def forward(self, x: Tensor, *_: Any) -> tuple[Tensor, None]:  # type: ignore[override]
        queries, keys, values = self.inward(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4).unbind()
        mixed = F.scaled_dot_product_attention(queries, keys, values, is_causal=True)
        return self.outward(mixed.transpose(1, 2).flatten(2)), None


class SkewedAttention(RelativeAttention):
    """All queries at once by PyTorch's own gradients, as the public systems do it."""

    def forward(self, x: Tensor, *_: Any) -> tuple[Tensor, None]:  # type: ignore[override]
        queries, keys, values = self.heads_of(x)
        mixed = skewed(queries, keys, values, self.distances.to(queries.dtype))
        return self.outward(mixed.transpose(1, 2).flatten(2)), None


FORMS: dict[str, Callable[[int], nn.Module]] = {
    "plain": lambda steps: PlainAttention(WIDTH, HEADS),
    "relative": lambda steps: RelativeAttention(WIDTH, HEADS, steps),
    "relative, full skew": lambda steps: SkewedAttention(WIDTH, HEADS, steps),
    "relative, pitch and time": lambda steps: RelativeAttention(WIDTH, HEADS, steps, axes=REACHES),
    "relative, local, blocks of 256": lambda steps: RelativeAttention(WIDTH, HEADS, steps, pattern="local", block=256),
    "relative, strided, blocks of 32": lambda steps: RelativeAttention(
        WIDTH, HEADS, steps, pattern="strided", block=32
    ),
    "relative, fixed, blocks of 64": lambda steps: RelativeAttention(WIDTH, HEADS, steps, pattern="fixed", block=64),
}
CONTESTED = ("plain", "relative")
MEASURED_MEMORY = (*CONTESTED, "relative, full skew")


class Stack(nn.Module):
    """Pre-norm blocks, (B, T, D) -> (B, T, D)."""

    def __init__(self, form: str, steps: int) -> None:
        super().__init__()
        self.attentions = nn.ModuleList(FORMS[form](steps) for _ in range(LAYERS))
        self.norms = nn.ModuleList(nn.LayerNorm(WIDTH) for _ in range(2 * LAYERS))
        self.networks = nn.ModuleList(
            nn.Sequential(nn.Linear(WIDTH, NETWORK), nn.ReLU(), nn.Linear(NETWORK, WIDTH)) for _ in range(LAYERS)
        )

    def forward(self, x: Tensor, states: Any = None, axes: Any = None) -> tuple[Tensor, list[Any]]:
        after = []
        for layer, (attention, network) in enumerate(zip(self.attentions, self.networks, strict=True)):
            mixed, state = attention(self.norms[2 * layer](x), states and states[layer], axes)
            x = x + mixed
            x = x + network(self.norms[2 * layer + 1](x))
            after.append(state)
        return x, after


def training_step(form: str, steps: int, seed: int) -> Callable[[str], float]:
    """A function that takes a step in a precision and says what processor time it took, in milliseconds."""
    torch.manual_seed(seed)
    stack, x = Stack(form, steps), torch.randn(BATCH, steps, WIDTH)
    wanted = form == "relative, pitch and time"
    places = torch.randint(30, 90, (BATCH, steps)), (torch.arange(steps) // 4).expand(BATCH, -1)
    axes = dict(zip(REACHES, places, strict=True)) if wanted else None

    def step(precision: str) -> float:
        start = process_time()
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            out, _ = stack(x, None, axes)
            loss = out.float().square().mean()
        loss.backward()
        stack.zero_grad()
        return 1000 * (process_time() - start)

    return step


def peak_memory(form: str, steps: int, precision: str, seed: int) -> float:
    """MiB of this process after a step, or after one of 8 tokens where `form` is "nothing"."""
    step = training_step(form if form != "nothing" else "plain", steps if form != "nothing" else 8, seed)
    step(precision)
    status = Path("/proc/self/status")
    if status.exists():  # the figure of getrusage begins at that of the process that started this one
        return next(int(line.split()[1]) / 2**10 for line in status.read_text().splitlines() if "VmHWM" in line)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def training(rounds: int, slow_rounds: int, seed: int) -> dict[str, dict[str, float]]:
    """Median and least milliseconds of a step by form, length and precision."""
    steps = {(form, length): training_step(form, length, seed) for form in FORMS for length in LENGTHS}
    times: dict[str, list[float]] = {}
    for number in range(rounds + 1):  # the first is thrown away
        for (form, length), step in steps.items():
            if number and form not in CONTESTED and number > slow_rounds:
                continue
            for precision in PRECISIONS if number or form in CONTESTED else ():
                taken = step(precision)
                if number:
                    times.setdefault(f"{form}, {length}, {precision}", []).append(taken)
    return {name: {"median ms": statistics.median(each), "least ms": min(each), "steps": len(each)}
            for name, each in times.items()}  # fmt: skip


@torch.inference_mode()
def stepping(length: int, seed: int) -> dict[str, float]:
    """One sequence of so many tokens: with a cache, and reading all anew for each (at every 64th length)."""
    torch.manual_seed(seed)
    stack, x = Stack("relative", length).eval(), torch.randn(1, length, WIDTH)
    runs = []
    for _ in range(3):
        _, states = stack(x[:, :1])
        states = [state.with_room(length) for state in states]
        start = process_time()
        for step in range(1, length):
            _, states = stack(x[:, step : step + 1], states)
        runs.append(process_time() - start)
    anew = []
    for step in range(64, length + 1, 64):
        start = process_time()
        stack(x[:, :step])
        anew.append(process_time() - start)
    read = torch.ones(2**26)  # 256 MiB
    sums = []
    for _ in range(5):
        start = process_time()
        read.sum()
        sums.append(process_time() - start)
    speed = 4 * 2**26 / min(sums)
    floor = 4 * sum(weight.numel() for weight in stack.parameters()) / speed
    cached = (length - 1) / min(runs)
    return {
        "tokens a second with a cache": cached,
        "tokens a second read anew": 1 / statistics.mean(anew),
        "times as fast": cached * statistics.mean(anew),
        "tokens a second at the speed of memory": 1 / floor,
        "share of the speed of memory": cached * floor,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="timed steps of plain and relative attention")
    parser.add_argument("--slow-rounds", type=int, default=2, help="timed steps of the other forms")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULTS / "attention_speed.json")
    parser.add_argument("--keep-times", action="store_true", help="measure memory alone, beside the times in --out")
    parser.add_argument("--memory", nargs=3, metavar=("FORM", "STEPS", "PRECISION"), help="print one peak and stop")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.memory:
        form, steps, precision = options.memory
        print(json.dumps(peak_memory(form, int(steps), precision, options.seed)))
        return

    def memory(form: str, steps: int, precision: str) -> float:
        command = [sys.executable, __file__, "--seed", str(options.seed), "--memory", form, str(steps), precision]
        return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)

    if options.keep_times:
        figures = json.loads(options.out.read_text("utf-8"))["figures"]
        load, times, steps = figures["load at the start"], figures["training"], figures["stepping"]
    else:
        load = os.getloadavg()[0]
        times = training(options.rounds, options.slow_rounds, options.seed)
        steps = stepping(1024, options.seed)
    for precision in PRECISIONS:
        base = memory("nothing", 0, precision)
        for form in MEASURED_MEMORY:
            for length in LENGTHS:
                times[f"{form}, {length}, {precision}"]["peak MiB"] = memory(form, length, precision) - base
    rows = []
    for form in FORMS:
        row: list[Any] = [form]
        for length in LENGTHS:
            for precision in PRECISIONS:
                entry = times[f"{form}, {length}, {precision}"]
                entry["times plain"] = entry["median ms"] / times[f"plain, {length}, {precision}"]["median ms"]
                row += [
                    round(entry["median ms"]),
                    round(entry["times plain"], 2),
                    round(entry["peak MiB"]) if "peak MiB" in entry else "–",
                ]
        rows.append(row)
    table = {
        "title": f"A training step, {LAYERS} layers, {WIDTH} wide, {HEADS} heads, batch {BATCH}, one thread",
        "columns": [
            "attention",
            *(f"{what}, {length}, {precision}" for length in LENGTHS for precision in PRECISIONS
              for what in ("ms", "× plain", "MiB")),
        ],
        "rows": rows,
        "note": "Milliseconds of processor time, medians; × plain is of the same precision. To reach in float32: "
        + ", ".join(f"{must} at {length} (aim {aim})" for length, (must, aim) in FACTORS.items())
        + f". Timed steps: {times['relative, 1024, float32']['steps']} of plain and relative, "
        + f"{times['relative, full skew, 1024, float32']['steps']} of the others, interleaved. "
        + f"Load of the machine at the start: {load:.1f}.",
    }  # fmt: skip
    cached = {
        "title": "Writing 1,024 tokens one by one, one sequence, one thread, without logits and drawing",
        "columns": ["what", "figure"],
        "rows": [[name, round(value, 2)] for name, value in steps.items()],
    }
    path = record(
        options.out.stem, {"load at the start": load, "training": times, "stepping": steps},
        command=shlex.join(["python", *sys.argv]), seed=options.seed, data="random numbers", tables=[table, cached],
        folder=options.out.parent,
    )  # fmt: skip
    print(f"wrote {path}")


if __name__ == "__main__":
    main()
