"""What metrics have gathered in mid-epoch, as plain data that a checkpoint can hold; of several processes, as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

import torch
from torchmetrics import Metric


def metric_states(metrics: Mapping[str, Metric]) -> dict[str, Any]:
    """The states of metrics by their names, copied."""
    return {
        name: {
            "updates": metric.update_count,
            "state": {key: _copied(value) for key, value in metric.metric_state.items()},
        }
        for name, metric in metrics.items()
    }


def restore_states(metrics: Mapping[str, Metric], states: Mapping[str, Any]) -> None:
    """Put states back into the metrics that they are of."""
    for name, saved in states.items():
        for key, value in saved["state"].items():
            setattr(metrics[name], key, _copied(value))
        metrics[name]._update_count = saved["updates"]


def joined_states(metrics: Mapping[str, Metric], every: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What several processes have gathered, as if one had.

    Args:
        metrics: Of the kinds that were saved; they stay as they are.
        every: Of each process its ``train_metrics``, as `metric_states` makes them, and ``train_pending``.
    """
    joined: dict[str, Any] = {}
    for name, metric in metrics.items():
        sums: list[Metric] = []
        for own in every:
            if (saved := own.get("train_metrics", {}).get(name)) and saved["updates"]:
                one = deepcopy(metric).cpu()
                one.reset()
                restore_states({name: one}, {name: saved})
                sums.append(one)
        if sums:
            whole = sums[0]
            for more in sums[1:]:
                updates = whole.update_count + more.update_count
                whole.merge_state(more)
                whole._update_count = updates
            joined |= metric_states({name: whole})
    pending = [step for own in every for step in own.get("train_pending") or own.get("train_untold", [])]
    return {"train_metrics": joined, "train_pending": pending}


def _copied(value: Any) -> Any:
    """A metric's state, a tensor or a list of them, apart from the metric."""
    return [part.clone() for part in value] if isinstance(value, list) else torch.as_tensor(value).clone()
