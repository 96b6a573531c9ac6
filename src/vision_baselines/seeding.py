"""Every random draw as a function of where it happens, so that no random state ever has to be saved.

A seed for a draw is made from its coordinates, (run seed, purpose, epoch, step, …), by a hash. A run that is
resumed at step 412 draws there what the uninterrupted run drew there, whatever happened in between and whoever
else used the global generator. Rejected: saving and restoring generator states, which says nothing about worker
processes and breaks as soon as anything draws once more.
"""

from __future__ import annotations

import hashlib
from contextlib import AbstractContextManager

import torch


def draw_seed(*coordinates: int | str) -> int:
    """A 63-bit seed that depends on every coordinate and on nothing else.

    >>> draw_seed(0, "order", 3) == draw_seed(0, "order", 3), draw_seed(0, "order", 3) == draw_seed(0, "order", 4)
    (True, False)
    """
    digest = hashlib.blake2b(repr(coordinates).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def generator(*coordinates: int | str, device: torch.device | str = "cpu") -> torch.Generator:
    """A generator of its own for the draw at these coordinates."""
    return torch.Generator(device).manual_seed(draw_seed(*coordinates))


def default_generators_kept(*devices: torch.device) -> AbstractContextManager[None]:
    """Leave the generators of the CPU and of these devices as they were; to ask of all would initialise CUDA."""
    kept: AbstractContextManager[None] = torch.random.fork_rng([one for one in devices if one.type == "cuda"])
    return kept


def seed_default_generator(seed: int, device: torch.device) -> None:
    """Seed the generator that dropout on `device` draws from.

    `torch.manual_seed` would seed every accelerator there is, which costs some hundred times more a step.
    """
    if device.type == "cuda":
        torch.cuda.default_generators[device.index or 0].manual_seed(seed)
    else:
        torch.default_generator.manual_seed(seed)
