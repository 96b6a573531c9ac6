"""Optimizers, their groups of parameters and their learning-rate schedules, where torch has none."""
