"""The formats of an exported net, torch.export's ``.pt2`` and ONNX: each written to bytes and read back from them."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

from vision_baselines.comparison.formatting import listed, one_line, printable
from vision_baselines.errors import ConfigError, is_out_of_memory
from vision_baselines.evaluation.export_net import PicturesToProbabilities, quiet, traced

INPUT, OUTPUT, METADATA = "images", "probabilities", "metadata.json"
Answer = Callable[[Tensor], Tensor]

_ONNX_PACKAGES = ("onnx", "onnxscript", "onnxruntime")
_MOST_ONNX_BYTES = 2**31 - 2**20  # a protobuf message holds 2 GiB


@dataclass(frozen=True)
class Format:
    """How a net becomes a file's content, and that content a function of pictures again.

    Attributes:
        name: As people call it.
        suffix: Of its files.
        packages: What has to be installed beside this package.
        single: Whether the net computes in float32, whatever it was trained in.
        written: Module, two pictures and metadata to the file's content.
        opened: Content to a function from pictures (N, C, H, W) uint8 to probabilities (N, K) float32.
    """

    name: str
    suffix: str
    packages: tuple[str, ...]
    single: bool
    written: Callable[[PicturesToProbabilities, Tensor, Mapping[str, str]], bytes]
    opened: Callable[[bytes], Answer]


def format_of(target: Path) -> Format:
    """The format that a file's name asks for.

    Raises:
        ConfigError: It asks for none, is not UTF-8, or something is not installed.
    """
    if printable(target.name) != target.name:
        raise ConfigError(f"{printable(str(target))} cannot stand in a model card; expected a name of plain UTF-8 text")
    found = {form.suffix: form for form in FORMATS}.get(target.suffix)
    if found is None:
        expected = " or ".join(f"{form.suffix} ({form.name})" for form in FORMATS)
        raise ConfigError(f"{str(target)!r} does not say in which format; expected a file name that ends in {expected}")
    if missing := [name for name in found.packages if find_spec(name) is None]:
        raise ConfigError(
            f"{listed(missing)} {'is' if len(missing) == 1 else 'are'} not installed, which {found.name} needs: "
            "pip install 'vision-baselines[onnx]', or export to a .pt2 file"
        )
    return found


def _pt2(module: PicturesToProbabilities, images: Tensor, metadata: Mapping[str, str]) -> bytes:
    program, buffer = traced(module, images), io.BytesIO()
    with quiet():
        torch.export.save(program, buffer, extra_files={METADATA: json.dumps(dict(metadata), indent=1)})
    return buffer.getvalue()


def _opened_pt2(content: bytes) -> Answer:
    with quiet():
        module = torch.export.load(io.BytesIO(content)).module()

    def answer(images: Tensor) -> Tensor:
        found: Tensor = module(images)
        return found

    return answer


def _onnx(module: PicturesToProbabilities, images: Tensor, metadata: Mapping[str, str]) -> bytes:
    import onnx

    needed = sum(tensor.numel() * tensor.element_size() for tensor in module.state_dict().values())
    if needed > _MOST_ONNX_BYTES:
        raise ConfigError(f"the net has {needed / 2**30:.1f} GiB of weights, and an ONNX file holds 2; export to .pt2")
    program = traced(module, images)
    try:
        with quiet():
            made = torch.onnx.export(
                program,
                dynamo=True,
                verbose=False,
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamic_shapes=({0: "batch"},),
            )
    except Exception as error:  # of the exporter, of onnxscript or of an operator that ONNX has not
        if is_out_of_memory(error):
            raise
        cause = error.__cause__ or error
        first = next((line for line in str(cause).splitlines() if line.strip()), type(cause).__name__)
        raise ConfigError(f"torch.onnx cannot take this net: {one_line(first, 240)}; .pt2 may") from error
    assert made is not None
    proto = made.model_proto
    _without_places(proto)
    onnx.helper.set_model_props(proto, dict(metadata))
    onnx.checker.check_model(proto)
    content: bytes = proto.SerializeToString(deterministic=True)
    return content


def _without_places(proto: object) -> None:
    """Take out what the exporter notes of each node for its developers, files of this machine among it."""
    graphs = [proto.graph, *proto.functions]  # type: ignore[attr-defined]
    while graphs:
        graph = graphs.pop()
        graph.ClearField("metadata_props")
        graph.ClearField("doc_string")
        for part in [*graph.node, *graph.value_info, *getattr(graph, "initializer", ())]:
            part.ClearField("metadata_props")
            part.ClearField("doc_string")
        for node in graph.node:
            graphs += [attribute.g for attribute in node.attribute if attribute.HasField("g")]


def _opened_onnx(content: bytes) -> Answer:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = torch.get_num_threads(), 1
    options.log_severity_level = 3
    # threads that wait in a loop would take time from the net that is measured beside it
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its classes are made at run time
        raise ConfigError(f"onnxruntime cannot run this net: {one_line(error, 240)}; export to .pt2") from error
    return lambda images: torch.from_numpy(session.run([OUTPUT], {INPUT: images.numpy()})[0])


FORMATS = (
    Format("torch.export", ".pt2", (), False, _pt2, _opened_pt2),
    Format("ONNX", ".onnx", _ONNX_PACKAGES, True, _onnx, _opened_onnx),
)
