"""Networks whose weights lie in parts on several processes, with PyTorch's own FSDP2.

What has no parts passes through unchanged, so that callers need not ask. `torch.distributed.tensor` is imported where a
network is split, as it is slow to import.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn


def shard(network: nn.Module) -> None:
    """Split the weights of the networks within `network`, in place, over all processes of the default group.

    Each is put together while it is called and taken apart after; its gradients are summed over the processes. Single
    layers and weights that belong to `network` itself stay whole on each process. All processes must hold the same
    weights and call the networks equally often.
    """
    from torch.distributed.fsdp import fully_shard

    for part in list(_networks(network)):
        sharded = fully_shard(part, reshard_after_forward=True)
        sharded.set_gradient_divide_factor(1.0)
        sharded.set_force_sum_reduction_for_comms(True)  # gloo knows no other


def _networks(module: nn.Module) -> Iterator[nn.Module]:
    """The outermost modules within that are called and hold other modules."""
    for child in module.children():
        if isinstance(child, nn.ModuleList | nn.ModuleDict):
            yield from _networks(child)
        elif next(child.children(), None) is not None:
            yield child


def is_part(tensor: Tensor) -> bool:
    return hasattr(tensor, "full_tensor")


def whole(tensor: Tensor) -> Tensor:
    """The tensor put together from its parts; all processes must ask at once."""
    return tensor.full_tensor() if is_part(tensor) else tensor  # type: ignore[attr-defined]


def part_of(tensor: Tensor, like: Tensor) -> Tensor:
    """This process's part of a whole tensor that every process holds, split as `like` is."""
    if not is_part(like):
        return tensor
    from torch.distributed.tensor import DTensor, distribute_tensor

    assert isinstance(like, DTensor)
    return distribute_tensor(tensor, like.device_mesh, like.placements, src_data_rank=None)


def clip_gradients(parameters: list[nn.Parameter], norm: float) -> None:
    """Scale the gradients of all parameters together down to this norm."""
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    if not any(is_part(gradient) for gradient in gradients):
        torch.nn.utils.clip_grad_norm_(parameters, norm)
        return
    norms = [whole(torch.linalg.vector_norm(gradient)) for gradient in gradients]
    torch.nn.utils.clip_grads_with_norm_(parameters, norm, torch.nn.utils.get_total_norm(norms), foreach=False)
