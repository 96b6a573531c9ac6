"""Shared by the tests of jobs: a loader that counts."""

from __future__ import annotations


class Counting:
    """A loader of configs that counts how often it is asked for one."""

    def __init__(self, loader):
        self.loader, self.count = loader, 0

    def load_sweep_config(self, config, overrides):
        self.count += 1
        return self.loader.load_sweep_config(config, overrides)

    def get_group_options(self, group):
        return self.loader.get_group_options(group)
