"""What each job's process would import, read and compute for itself, done once in the server that all are forked from.

It is imported there and nowhere else. The garbage collector looks at none of it, in the server or in a job: so a job
shares the memory of what it does not change.
"""

from __future__ import annotations

import importlib

from vision_baselines.importing import without_collector

# Beside the first, which imports torch and Lightning: what a run names by text or imports where it needs it.
_MODULES = (
    "vision_baselines.cli.entry",  # has the function that each job runs
    "vision_baselines.search.epochs",
    "vision_baselines.sweep.callback",
    "vision_baselines.sweep.in_job",
    "vision_baselines.training.run",
    "vision_baselines.training.divergence",
    "vision_baselines.training.load",
    "vision_baselines.training.module",
    "vision_baselines.training.parameter_table",
    "vision_baselines.plots.confusion_picture",
    "vision_baselines.plots.filters",
    "vision_baselines.plots.mistakes",
    "tensorboard.backend.event_processing.event_file_loader",
    "torch.utils.tensorboard",
)


with without_collector():
    for _name in _MODULES:
        importlib.import_module(_name)
    from vision_baselines.runs.code import code_of

    code_of({})  # what it reads of the package is kept
