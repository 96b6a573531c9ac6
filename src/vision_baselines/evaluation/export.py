"""A finished run's net as one file that runs without this package, held against the net, with a model card beside it.

Nothing is written before the file's content has been read back and answers what the net answers; then the file and its
card are written beside their targets and renamed.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import torch
from omegaconf import DictConfig
from torch import Tensor

from vision_baselines.comparison.formatting import listed
from vision_baselines.config.restore import restored
from vision_baselines.data.datamodule import ImageDataModule
from vision_baselines.data.split_changes import pixel_permutation
from vision_baselines.errors import ConfigError, DataError, StorageError
from vision_baselines.evaluation.card_file import other_files, read_card
from vision_baselines.evaluation.data_folder import with_data
from vision_baselines.evaluation.export_check import BATCHES, TOLERANCES, Answer, agreement, latency_s
from vision_baselines.evaluation.export_facts import metadata
from vision_baselines.evaluation.export_formats import Format, format_of
from vision_baselines.evaluation.export_net import PicturesToProbabilities
from vision_baselines.evaluation.exported import Exported
from vision_baselines.evaluation.model_card import card
from vision_baselines.runs.environment import process_kept
from vision_baselines.runs.record import RunRecord, finished_record
from vision_baselines.seeding import generator
from vision_baselines.storage.atomic import staged, why_unwritable
from vision_baselines.training import build
from vision_baselines.training.best_weights import kept_path
from vision_baselines.training.load import load_classifier
from vision_baselines.training.measure import require_same_weights
from vision_baselines.training.results import weights_sha256
from vision_baselines.training.task_module import TaskModule

_RANDOM_PICTURES = 64
_DATA_KEYS = ("paths.", "data.source.")


def export(
    folder: Path,
    target: Path,
    *,
    check: bool = True,
    force: bool = False,
    threads: int | None = None,
    overrides: Sequence[str] = (),
    trusted_packages: Sequence[str] = (),
) -> Exported:
    """Write the net of a run to `target`, and its model card beside it, ``target`` with the suffix ``.md``.

    Args:
        folder: Of a finished run.
        target: ``.pt2`` for torch.export, ``.onnx`` for ONNX. A file that is there is replaced in one step.
        check: Whether the test images are read and given to the net and to the file; else random pictures are.
        force: Replace a Markdown file of somebody's own by the card.
        threads: Of the comparison and of what is timed; None takes as many as the run was trained with.
        overrides: Where the data are: ``paths.data_dir=…``, ``data.source.root=…``.
        trusted_packages: Packages of one's own whose classes the run's config may name.

    Raises:
        ConfigError: The target's name, or something that is not installed; or the net cannot be exported, and why.
        DataError: `folder` holds no finished run of classes, or the test images are not there or are others.
        StorageError: The weights are missing or damaged, the file cannot be written, or it does not answer what the
            net answers; whatever was at `target` is untouched.
    """
    form = format_of(target)
    card_path = target.with_suffix(".md")
    _check_target(target, card_path, force)
    if wrong := [text for text in overrides if not text.startswith(_DATA_KEYS)]:
        raise ConfigError(f"{wrong[0]!r} is not about where the data are; expected paths.data_dir=… or data.source.…")
    record = _record(folder)
    with process_kept():
        torch.set_num_threads(threads or int(record.config.get("threads") or 1))
        return _exported(record, folder, form, target, card_path, check, force, overrides, trusted_packages)


def _exported(
    record: RunRecord,
    folder: Path,
    form: Format,
    target: Path,
    card_path: Path,
    check: bool,
    force: bool,
    overrides: Sequence[str],
    trusted_packages: Sequence[str],
) -> Exported:
    there = restored(record.config, folder, trusted_packages=trusted_packages, writes=False)
    ckpt_path = kept_path(there)
    classifier, datamodule = load_classifier(ckpt_path, trusted_packages=trusted_packages)
    found_sha256 = weights_sha256(classifier.net)
    require_same_weights(ckpt_path, found_sha256, record)
    record.weights_sha256 = found_sha256
    others = other_files(card_path, target, record.weights_sha256, force=force)
    images, targets = _pictures(record, overrides, trusted_packages) if check else (_random(datamodule), None)
    net = _as_tested(classifier, datamodule)
    _try(net, classifier, images[:2])
    # another copy: the exporter lays weights out anew, and ONNX has them in float32
    copy = PicturesToProbabilities(*load_classifier(ckpt_path, trusted_packages=trusted_packages)).eval()
    trained_in = copy.dtype
    copy = copy.in_single_precision() if form.single else copy
    class_names = list(record.class_names or [])
    said = metadata(record, datamodule.image_shape, class_names)
    content = form.written(copy, torch.zeros(2, *datamodule.image_shape, dtype=torch.uint8), said)
    file = form.opened(content)
    agreed = agreement(
        net,
        file,
        images,
        targets,
        classes=len(class_names),
        batch_size=datamodule.eval_batch_size,
        tolerance=TOLERANCES.get(trained_in, TOLERANCES[torch.float32]),
        of="test images" if check else "random pictures",
    )
    found = Exported(
        path=target,
        card=card_path,
        format=form,
        size_bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        image_shape=tuple(datamodule.image_shape),
        class_names=tuple(class_names),
        agreement=agreed,
        latency_s=_latency(net, file, images),
        threads=torch.get_num_threads(),
        trained_in=str(trained_in).removeprefix("torch."),
        metadata=said,
    )
    _write(target, content, card_path, card(found, record, folder, datamodule, others))
    return found


def _record(folder: Path) -> RunRecord:
    record = finished_record(folder)
    if not record.class_names:
        raise DataError(f"{record.name} learned numbers, not classes; only nets that give probabilities are exported")
    return record


def _check_target(target: Path, card_path: Path, force: bool) -> None:
    """Refuse, before anything is read, what could not be written at the end."""
    parent = target.parent
    if not parent.is_dir():
        raise StorageError(f"there is no folder {str(parent)!r} to write {target.name} into")
    for path in (target, card_path):
        if path.is_symlink() or (path.exists() and not stat.S_ISREG(path.stat().st_mode)):
            raise StorageError(f"{str(path)!r} is not a regular file; choose another name")
    if not force and card_path.exists() and read_card(card_path) is None:
        raise ConfigError(
            f"{str(card_path)!r}, where the model card goes, is a file of your own or was changed since export wrote "
            f"it; choose another name for {target.name}, or --force to replace it"
        )
    if reason := why_unwritable(parent):
        raise StorageError(f"{str(target)!r} cannot be written: {reason}")


def _pictures(record: RunRecord, overrides: Sequence[str], trusted_packages: Sequence[str]) -> tuple[Tensor, Tensor]:
    """The test images as an exported net takes them, and their classes.

    Raises:
        DataError: They are not there, or are others than the run was tested on.
    """

    def read(cfg: DictConfig) -> ImageDataModule:
        datamodule = build.datamodule(cfg)
        datamodule.prepare_data()
        datamodule.setup()
        return datamodule

    without = "; --no-check exports without comparing on test images"
    with tempfile.TemporaryDirectory(prefix="export-") as scratch:
        cfg = restored(record.config, Path(scratch), overrides, trusted_packages)
        try:
            datamodule = with_data(cfg, record, overrides, read)
        except DataError as error:
            raise DataError(f"{error}{without}") from error
    assert datamodule.splits is not None
    if record.test_sha256 and datamodule.splits.test_sha256 != record.test_sha256:
        raise DataError(f"the test images are not those that {record.name} was tested on{without}")
    test = datamodule.splits.test
    images = test.images
    if datamodule.permute_pixels:  # the file brings the pixels into the run's order itself
        back = pixel_permutation(*images.shape[-2:]).argsort()
        images = images.flatten(2).index_select(2, back).view(images.shape)
    return images, test.target


def _random(datamodule: ImageDataModule) -> Tensor:
    shape = (_RANDOM_PICTURES, *datamodule.image_shape)
    return torch.randint(0, 256, shape, generator=generator(0, "export"), dtype=torch.uint8)


def _as_tested(classifier: TaskModule, datamodule: ImageDataModule) -> Answer:
    """The net and what a test does around it, from pictures in their own order to probabilities."""
    order = pixel_permutation(*datamodule.image_shape[-2:]) if datamodule.permute_pixels else None

    def answer(images: Tensor) -> Tensor:
        if order is not None:
            images = images.flatten(2).index_select(2, order).view(images.shape)
        outputs = classifier(datamodule.normalize(images))
        shares = classifier.task.probabilities(outputs.float() if outputs.dtype.itemsize == 2 else outputs)
        if shares is None:
            raise DataError("this run's task gives no probabilities; only nets that do are exported")
        return shares.to(torch.float32)

    return answer


def _try(net: Answer, classifier: TaskModule, images: Tensor) -> None:
    """Say what is wrong with the net itself before the exporter looks at it.

    Raises:
        ConfigError: It changes its buffers also in evaluation mode, which a file cannot.
    """
    before = {name: buffer.clone() for name, buffer in classifier.net.named_buffers()}
    with torch.inference_mode():
        net(images)
    changed = [name for name, buffer in classifier.net.named_buffers() if not torch.equal(buffer, before[name])]
    if changed:
        raise ConfigError(f"this net cannot be exported: it changes its own state with every batch ({listed(changed)})")


def _latency(net: Answer, file: Answer, images: Tensor) -> dict[int, tuple[float, float]]:
    found = {}
    for size in BATCHES:
        batch = images.repeat(-(-size // len(images)), 1, 1, 1)[:size].contiguous()
        seconds = latency_s({"net": net, "file": file}, batch)
        found[size] = (seconds["net"], seconds["file"])
    return found


def _write(target: Path, content: bytes, card_path: Path, text: str) -> None:
    try:
        with ExitStack() as files:  # both are written out before either is renamed
            for path, written in ((card_path, text.encode()), (target, content)):
                file = files.enter_context(staged(path))
                file.write(written)
                file.flush()
                os.fsync(file.fileno())
    except OSError as error:
        raise StorageError(f"{str(target)!r} cannot be written: {error.strerror or error}") from error
