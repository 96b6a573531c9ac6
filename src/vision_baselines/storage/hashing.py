"""One way to hash tensors: dtype, shape and bytes, with names where they have some.

These digests are published and recorded, so what goes into them does not change.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


def tensors_sha256(*tensors: Tensor) -> str:
    """Hex SHA-256 over dtype, shape and bytes of each tensor, in the order given.

    Args:
        tensors: Of any shape and device; the layout in memory does not matter.

    >>> labels = torch.tensor([3, 1])
    >>> tensors_sha256(labels) == tensors_sha256(labels.clone()), tensors_sha256(labels) == tensors_sha256(labels.int())
    (True, False)
    """
    digest = hashlib.sha256()
    for tensor in tensors:
        _add(digest, "", tensor)
    return digest.hexdigest()


def state_sha256(state: Mapping[str, Tensor]) -> str:
    """Hex SHA-256 over name, dtype, shape and bytes of each tensor of a net's state, in the order of the names."""
    digest = hashlib.sha256()
    for name, tensor in sorted(state.items()):
        _add(digest, f"{name} ", tensor)
    return digest.hexdigest()


def _add(digest: Any, label: str, tensor: Tensor) -> None:
    plain = tensor.detach().cpu().contiguous()
    digest.update(f"{label}{plain.dtype} {tuple(plain.shape)}\n".encode())
    digest.update(plain.reshape(-1).view(torch.uint8).numpy().data)
