"""Figures of a comparison, drawn with Matplotlib's objects only: no pyplot, no window, no global figure."""
