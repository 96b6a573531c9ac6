"""What is said of a chain of layers: what rounding down drops, and what its convolutions cost."""

from __future__ import annotations

from collections.abc import Sequence

from vision_baselines.analysis.conv_arithmetic import LayerStep, conv_params


def unused_lines(steps: Sequence[LayerStep], input_size: int) -> list[str]:
    """A line for each layer whose size is rounded down.

    >>> from vision_baselines.analysis.conv_arithmetic import trace_chain
    >>> unused_lines(trace_chain([(3, 2, 1)], 32), 32)
    ['layer 1: (32 − 3 + 2·1) / 2 + 1 = 16.5 → 16: the last padded column is not used']
    """
    lines, size = [], input_size
    for number, step in enumerate(steps, start=1):
        if step.unused:
            span = (step.kernel_size - 1) * step.dilation + 1
            padding = f" + 2·{step.padding}" if step.padding else ""
            quotient = f"{step.output_size + step.unused / step.stride:.2f}".rstrip("0")
            lines.append(
                f"layer {number}: ({size} − {span}{padding}) / {step.stride} + 1 = {quotient} → {step.output_size}: "
                + _unused_text(step.unused, step.padding)
            )
        size = step.output_size
    return lines


def cost_lines(steps: Sequence[LayerStep], channels: Sequence[int | None]) -> list[str]:
    """Parameters of each convolution, of all, and of one layer that sees as much.

    Args:
        steps: The layers.
        channels: Those of the image, and of each layer's output; None for a pooling.
    """
    each = layer_params(steps, channels)
    counts = [count for count in each if count is not None]
    if not counts:
        return ["No layer has parameters."]
    total = sum(counts)
    parts = " + ".join(f"{count:,}" for count in counts)
    lines = [f"Parameters, biases included: {parts}{f' = {total:,}' if len(counts) > 1 else ''}."]
    if len(counts) > 1:
        single = single_layer_params(steps, channels)
        (first, last), field, stride = _ends(channels), steps[-1].receptive_field, steps[-1].jump
        lines.append(
            f"One {field}×{field} layer{f' of stride {stride}' if stride > 1 else ''} from {first} to {last} channels "
            f"sees the same {field} px with {single:,}: the chain has {total / single:.2f} times as many."
        )
    return lines


def layer_params(steps: Sequence[LayerStep], channels: Sequence[int | None]) -> list[int | None]:
    """Weights and biases of each layer; None for a pooling. Arguments as `cost_lines`."""
    counts: list[int | None] = []
    inputs, *outputs = channels
    for step, given in zip(steps, outputs, strict=True):
        counts.append(None if given is None or inputs is None else conv_params(step.kernel_size, inputs, given))
        inputs = inputs if given is None else given
    return counts


def single_layer_params(steps: Sequence[LayerStep], channels: Sequence[int | None]) -> int:
    """Weights and biases of one convolution that sees as much as the whole chain. Arguments as `cost_lines`."""
    return conv_params(steps[-1].receptive_field, *_ends(channels))


def _ends(channels: Sequence[int | None]) -> tuple[int, int]:
    given = [count for count in channels if count is not None]
    return given[0], given[-1]


def _unused_text(unused: int, padding: int) -> str:
    if unused > padding > 0:
        return f"the last {unused} columns are not used, {padding} of padding and {unused - padding} of the input"
    padded = "padded " if padding else ""
    return f"the last {padded}column is not used" if unused == 1 else f"the last {unused} {padded}columns are not used"
