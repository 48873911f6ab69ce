"""Several processes that train one network: which of them this is, and what they agree on.

They are started by ``torchrun`` and meet as it tells them by the environment. Each takes its part
of the patches of every step; gradients are averaged between them, so that all hold one network.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import distributed, nn

#: The leader alone validates, and the others wait for it at the next step.
_PATIENCE = timedelta(hours=2)

#: What is agreed on lies on the CPU and goes by gloo; gradients on GPUs by NCCL.
_BACKENDS = {"cpu": "gloo", "cuda": "cpu:gloo,cuda:nccl"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranks:
    """One process among those that train together.

    Attributes
    ----------
    rank : int
        Its number, from 0.
    size : int
        How many there are.

    Raises
    ------
    ValueError
        If there is no such number among so many.
    """

    rank: int = 0
    size: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.rank < self.size:
            raise ValueError(f"Process {self.rank} of {self.size}: numbers begin with 0")

    @property
    def leads(self) -> bool:
        """Whether this process writes, validates and shows progress."""
        return self.rank == 0

    def share_of(self, count: int) -> range:
        """Return which of so many things are this process's."""
        return range(self.rank, count, self.size)

    def agreed(self, value: float) -> float:
        """Return the leader's value; every process must ask."""
        if self.size == 1:
            return value
        told = torch.tensor([value], dtype=torch.float64)
        distributed.broadcast(told, 0)
        return float(told)

    def mean(self, value: float) -> float:
        """Return the mean of the processes' values; every process must ask."""
        if self.size == 1:
            return value
        total = torch.tensor([value], dtype=torch.float64)
        distributed.all_reduce(total)
        return float(total) / self.size

    def together(self, network: nn.Module) -> nn.Module:
        """Return the network as it is trained: its gradients become the mean of all processes'."""
        if self.size == 1:
            return network
        return nn.parallel.DistributedDataParallel(network)


ALONE = Ranks()


@contextmanager
def joined(environment: Mapping[str, str], device: torch.device) -> Iterator[Ranks]:
    """Meet the processes that ``torchrun`` started beside this one; without it, be alone.

    Parameters
    ----------
    environment : mapping
        Of this process: WORLD_SIZE, RANK and LOCAL_RANK are read here, where to meet
        (MASTER_ADDR, MASTER_PORT) by torch.
    device : torch.device
        What this process trains on.
    """
    ranks = Ranks(
        rank=int(environment.get("RANK", "0")), size=int(environment.get("WORLD_SIZE", "1"))
    )
    if ranks.size == 1:
        yield ranks
        return
    distributed.init_process_group(
        _BACKENDS[device.type], rank=ranks.rank, world_size=ranks.size, timeout=_PATIENCE
    )
    try:
        yield ranks
    finally:
        distributed.destroy_process_group()


def own_device(device: torch.device, environment: Mapping[str, str]) -> torch.device:
    """Return the device of this process: of several GPUs on its machine, the one of its number."""
    local = environment.get("LOCAL_RANK")
    if device.type != "cuda" or local is None:
        return device
    own = torch.device("cuda", int(local))
    torch.cuda.set_device(own)
    return own
