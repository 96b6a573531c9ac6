"""Probes: callbacks that look at a trained net after its test, log what they find and leave curves in the record."""
