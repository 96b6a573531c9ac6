"""S copies of a net as one: its graph is traced, and each node is done for all copies at once."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F  # noqa: N812

from vision_baselines.passes.errors import NotInOnePassError
from vision_baselines.passes.layers import Draws, as_features, elementwise, is_layer, layer
from vision_baselines.passes.weights import StackedWeights

_FUNCTIONS = (operator.add, operator.sub, operator.mul, torch.add, torch.mul, torch.relu, torch.sigmoid, torch.tanh)
_ELEMENTWISE: dict[Any, Callable[..., Tensor]] = {
    **{function: function for function in (*_FUNCTIONS, F.relu, F.gelu, F.silu)},
    **{name: getattr(torch, name) for name in ("relu", "sigmoid", "tanh", "add", "mul")},
}


class _Tracer(fx.Tracer):
    """Leaves whole what `layers` has a batched form of."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return is_layer(m)


class StackedNet:
    """S copies of a net that are computed at once.

    Args:
        nets: The copies; their weights are joined, see `StackedWeights`.
        device: Where they lie.

    Raises:
        NotInOnePassError: What of the net has no batched form.
    """

    def __init__(self, nets: Sequence[nn.Module], device: torch.device) -> None:
        graph = traced(nets[0])
        self.draws = Draws(len(nets), device)
        self.weights = StackedWeights(nets)
        self._steps: list[tuple[fx.Node, Callable[..., Any], tuple[Any, ...]]] = []
        self._output: Any = None
        for node in graph.nodes:
            if node.op == "call_module":
                found = nets[0].get_submodule(str(node.target))
                self._steps.append((node, layer(found, self.weights, self.draws), node.args))
            elif node.op in ("call_function", "call_method"):
                self._steps.append((node, self._function(node), node.args))
            elif node.op == "output":
                self._output = node.args[0]
            elif node.op == "placeholder":
                self._input = node
            else:
                raise NotInOnePassError(f"{node.target} is used outside of a layer")

    def __call__(self, images: list[Tensor]) -> Tensor:
        """Outputs (S, N, F) for the images (N, C, H, W) of each copy."""
        values: dict[Any, Any] = {self._input: images}
        for node, function, arguments in self._steps:
            values[node] = function(*(values[one] if isinstance(one, fx.Node) else one for one in arguments))
        found: Tensor = values[self._output]
        return found

    def _function(self, node: fx.Node) -> Callable[..., Any]:
        if node.target in ("flatten", torch.flatten):
            if tuple(node.args[1:]) not in ((1,), (1, -1)) or node.kwargs:
                raise NotInOnePassError("a flattening of some dimensions only has no batched form")
            return lambda value, *rest: as_features(value, self.weights.count)
        if node.target not in _ELEMENTWISE or set(node.kwargs) - {"inplace"}:
            name = getattr(node.target, "__name__", node.target)
            raise NotInOnePassError(f"its forward calls {name}, which has no batched form")
        return elementwise(_ELEMENTWISE[node.target])


def traced(net: nn.Module) -> fx.Graph:
    """The graph of a net.

    Raises:
        NotInOnePassError: It depends on its data, or takes or returns other than one tensor.
    """
    try:
        graph = _Tracer().trace(net)
    except NotInOnePassError:
        raise
    except Exception as error:  # whatever a net does with what is no tensor
        raise NotInOnePassError(f"its forward cannot be traced ({' '.join(str(error).split())[:120]})") from error
    inputs = [node for node in graph.nodes if node.op == "placeholder"]
    if len(inputs) != 1 or not isinstance(next(iter(reversed(graph.nodes))).args[0], fx.Node):
        raise NotInOnePassError("it takes or returns other than one tensor")
    return graph
