"""Which part of a batch each of several processes takes: the batch itself is the same whatever their number."""

from __future__ import annotations


def share_of(count: int, rank: int, processes: int, *, least: int = 1) -> slice:
    """The part of `count` images that process `rank` of `processes` takes; those of all follow each other.

    They differ by one image at most. Where there are too few for `least` images each, the first processes share them
    and the others take none.

    Args:
        count: Images of the whole batch, at least 0.
        rank: From 0.
        processes: At least 1.
        least: Images that a part needs, at least 1; batch normalisation has no variance of a single image.

    >>> [share_of(7, rank, 3) for rank in range(3)]
    [slice(0, 2, None), slice(2, 4, None), slice(4, 7, None)]
    >>> [share_of(3, rank, 2, least=2) for rank in range(2)]
    [slice(0, 3, None), slice(3, 3, None)]
    """
    sharing = max(1, min(processes, count // least))
    if rank >= sharing:
        return slice(count, count)
    return slice(count * rank // sharing, count * (rank + 1) // sharing)
