"""What an export gave: the file, what it takes and answers, how it compares with the net, and how long both take."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vision_baselines.evaluation.export_check import Agreement
from vision_baselines.evaluation.export_formats import INPUT, OUTPUT, Format


@dataclass(frozen=True)
class Exported:
    """A net in a file.

    Attributes:
        path: The file.
        card: Its model card, Markdown.
        format: See `Format`.
        size_bytes: Of the file.
        sha256: Of the file.
        image_shape: (channels, height, width) of the pictures that it takes.
        class_names: Of the columns of its answers.
        agreement: The file beside the net.
        latency_s: By batch size, median seconds of the net and of the file.
        threads: Of both.
        trained_in: The floating-point type of the net's weights.
        metadata: What the file says of itself.
    """

    path: Path
    card: Path
    format: Format
    size_bytes: int
    sha256: str
    image_shape: tuple[int, ...]
    class_names: tuple[str, ...]
    agreement: Agreement
    latency_s: dict[int, tuple[float, float]]
    threads: int
    trained_in: str
    metadata: dict[str, str]

    @property
    def computes_in(self) -> str:
        """The floating-point type that the file computes in."""
        return "float32" if self.format.single else self.trained_in

    def facts(self) -> dict[str, Any]:
        """All of it as plain data."""
        agreed = self.agreement
        return {
            "path": str(self.path),
            "card": str(self.card),
            "format": self.format.name,
            "size_bytes": self.size_bytes,
            "sha256": self.sha256,
            "input": {"name": INPUT, "dtype": "uint8", "shape": ["batch", *self.image_shape]},
            "output": {"name": OUTPUT, "dtype": "float32", "shape": ["batch", len(self.class_names)]},
            "class_names": list(self.class_names),
            "computes_in": self.computes_in,
            "compared": {
                "on": agreed.of,
                "images": agreed.images,
                "largest_difference": agreed.largest_difference,
                "tolerance": agreed.tolerance,
                "same_class": agreed.same_class,
                "ties": agreed.ties,
                "accuracy": agreed.accuracy,
                "depends_on_batch": agreed.depends_on_batch,
            },
            "latency_s": {str(size): {"net": net, "file": file} for size, (net, file) in self.latency_s.items()},
            "threads": self.threads,
            "metadata": self.metadata,
        }
