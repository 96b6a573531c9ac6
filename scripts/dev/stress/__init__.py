"""Runs that are killed and resumed until they have the same weights, or not."""
