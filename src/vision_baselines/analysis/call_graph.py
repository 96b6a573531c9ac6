"""What a net computes, as a graph of calls: each with its module, the calls whose results it takes, and its shape.

The net runs once on one image, as it is, and a torch-function mode sees each call by the name it was written with, so
nets with branches and loops are followed as they run. Rejected: `torch.jit.trace`, which keeps a class for every module
it has traced for as long as the process lives (1.9 MB for the CNN of this project, each time), and refuses more nets.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakTensorKeyDictionary

from vision_baselines.analysis.field_rules import tensors_in
from vision_baselines.analysis.layer_trace import evaluation_mode, example_of
from vision_baselines.seeding import default_generators_kept

IMAGE, OUTPUT = "image", "output"


@dataclass(frozen=True)
class CallNode:
    """A call.

    Attributes:
        name: The modules that it is inside of, and its own name, ``Sequential[head]/Linear[1]/linear``.
        kind: The function's name.
        inputs: Names of the calls whose results it takes, in order.
        shapes: Shapes of the tensors that it gives, without the batch axis.
    """

    name: str
    kind: str
    inputs: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]


def call_graph(net: nn.Module, image_shape: Sequence[int]) -> list[CallNode]:
    """The calls of a pass in evaluation mode, from the image to what is made from it; the last node is the output.

    Args:
        net: Any module that takes ``(N, C, H, W)``; training modes and random state stay as they were.
        image_shape: ``(C, H, W)``.

    Raises:
        ValueError: The net raises in `forward`.

    >>> [node.kind for node in call_graph(nn.Sequential(nn.Flatten(), nn.Linear(4, 2)), (1, 2, 2))]
    ['image', 'flatten', 'linear', 'output']
    """
    image = torch.zeros(1, *image_shape).to(example_of(net))
    recorder = _Recorder(image)
    with ExitStack() as stack:
        stack.enter_context(evaluation_mode(net))
        stack.enter_context(torch.no_grad())
        stack.enter_context(default_generators_kept(image.device))
        for name, module in net.named_modules():
            if name:
                label = f"{type(module).__name__}[{name.rpartition('.')[2]}]"
                stack.callback(module.register_forward_pre_hook(recorder.entered(label)).remove)
                stack.callback(module.register_forward_hook(recorder.left).remove)
        try:
            with recorder:
                output = net(image)
        except Exception as error:
            raise ValueError(f"{type(net).__name__} raised in forward: {type(error).__name__}: {error}") from error
    tensors = tensors_in(output)
    sources = recorder.sources(tensors)
    return [*recorder.nodes, CallNode(OUTPUT, OUTPUT, sources, _shapes(tensors))]


class _Recorder(TorchFunctionMode):
    """Context in which calls on tensors that are made from the image are noted."""

    def __init__(self, image: Tensor) -> None:
        super().__init__()
        self.nodes = [CallNode(IMAGE, IMAGE, (), _shapes([image]))]
        self._running: list[tuple[nn.Module, str]] = []
        self._named = Counter({IMAGE: 1, OUTPUT: 1})
        self._makers: Any = WeakTensorKeyDictionary()  # weak, or each activation of the pass would live until its end
        self._makers[image] = IMAGE

    def entered(self, label: str) -> Callable[..., None]:
        """A hook for when the module of this label is called."""
        return lambda module, _: self._running.append((module, label))

    def left(self, module: nn.Module, *_: object) -> None:
        """A hook for when a module returns."""
        while self._running.pop()[0] is not module:  # one that raised and was caught by its parent never returns
            pass

    def sources(self, tensors: Sequence[Tensor]) -> tuple[str, ...]:
        """Names of the calls that made tensors, each once."""
        return tuple(dict.fromkeys(self._makers[tensor] for tensor in tensors if tensor in self._makers))

    def __torch_function__(
        self,
        func: Callable[..., object],
        types: Sequence[type],
        args: tuple[object, ...] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        """Run the call, then note it."""
        kwargs = kwargs or {}
        inputs = self.sources(tensors_in((args, kwargs)))
        result = func(*args, **kwargs)
        kind = getattr(func, "__name__", "call").strip("_")
        # assigning to a slice returns nothing: it is the first argument that changes
        made = tensors_in(args[0] if kind == "setitem" else result)
        if inputs and made:
            path = "/".join([*(label for _, label in self._running), kind])
            self._named[path] += 1
            name = path if self._named[path] == 1 else f"{path}_{self._named[path]}"
            self.nodes.append(CallNode(name, kind, inputs, _shapes(made)))
            for tensor in made:
                self._makers[tensor] = name
        return result


def _shapes(tensors: Sequence[Tensor]) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(tensor.shape[1:]) for tensor in tensors)
