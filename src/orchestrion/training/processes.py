"""Several processes that train one system, started by `torchrun`: PyTorch's distributed engine, gloo or nccl."""

from __future__ import annotations

import os

import torch
import torch.distributed as distributed
from torch.optim import Optimizer

from orchestrion.models.base import System
from orchestrion.models.layers.sharding import is_part, part_of, shard


class Processes:
    """This process among those that `torchrun` started; alone where it did not."""

    def __init__(self) -> None:
        self.count = int(os.environ.get("WORLD_SIZE", "1"))
        self.rank = int(os.environ.get("RANK", "0"))
        cuda = torch.cuda.is_available()
        self.device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))) if cuda else torch.device("cpu")

    def meet(self) -> None:
        """Wait for the others; what can be seen to be wrong beforehand is."""
        if self.device.type == "cuda":
            torch.cuda.set_device(self.device)
        if self.count > 1:
            distributed.init_process_group("nccl" if self.device.type == "cuda" else "gloo")

    def shard(self, system: System, whole: dict[str, Optimizer]) -> dict[str, Optimizer]:
        """Split the networks of a system over all processes; returns optimizers of the parts that stand as `whole`."""
        shard(system)
        optimizers = system.optimizers()
        for name, optimizer in optimizers.items():
            there = whole[name]
            for new, old in zip(optimizer.param_groups, there.param_groups, strict=True):
                new.update({key: value for key, value in old.items() if key != "params"})
                for part, parameter in zip(new["params"], old["params"], strict=True):
                    optimizer.state[part] = {
                        key: part_of(value, part) if value.shape == part.shape else value
                        for key, value in there.state[parameter].items()
                    }
        return optimizers

    def sum_gradients(self, optimizer: Optimizer, batches: int) -> None:
        """Add up the gradients of all processes, where they are not parts of sums, and divide by the batches."""
        gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        own = [gradient for gradient in gradients if not is_part(gradient)]
        if self.count > 1 and own:
            flat = torch.cat([gradient.flatten() for gradient in own])
            distributed.all_reduce(flat)
            for gradient, part in zip(own, flat.split([g.numel() for g in own]), strict=True):
                gradient.copy_(part.view_as(gradient))
        if batches > 1:
            for gradient in gradients:
                gradient.div_(batches)

    def sum_numbers(self, numbers: list[float]) -> list[float]:
        if self.count == 1:
            return numbers
        total = torch.tensor(numbers, dtype=torch.float64, device=self.device)
        distributed.all_reduce(total)
        return [float(number) for number in total]

    def leave(self) -> None:
        if self.count > 1:
            distributed.barrier()  # gloo aborts at exit where one process leaves early
            distributed.destroy_process_group()
