"""The model card beside an exported net, in Markdown: what it is, how good, on what, how made, and how to run it.

One card describes all formats of one net: ``digits.pt2`` and ``digits.onnx`` share ``digits.md``. What belongs on it
follows Mitchell et al. 2019, Model Cards for Model Reporting, arXiv:1810.03993, as far as a run knows it.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path

from vision_baselines.analysis.statistics import summarize
from vision_baselines.comparison.formatting import capital, plural, size
from vision_baselines.comparison.metric import Metric
from vision_baselines.data.datamodule import ImageDataModule
from vision_baselines.data.known_data import origin_of
from vision_baselines.evaluation import export_facts as facts
from vision_baselines.evaluation.card_file import as_section, signed
from vision_baselines.evaluation.card_snippets import snippet
from vision_baselines.evaluation.exported import Exported
from vision_baselines.report.markdown import escaped
from vision_baselines.runs.dotted import select
from vision_baselines.runs.environment import cpu_model
from vision_baselines.runs.record import RunRecord
from vision_baselines.tasks.names import ACCURACY

_MOST_CLASSES = 100


def card(exported: Exported, record: RunRecord, folder: Path, data: ImageDataModule, others: Sequence[str] = ()) -> str:
    """The card's whole text.

    Args:
        exported: The file that was made.
        record: Of its run.
        folder: The run's, beside which runs of other seeds may lie.
        data: Which prepared the run's pictures.
        others: Sections of the same net's files in other formats.
    """
    section = _section(exported, record)
    blocks = [
        f"# Model card: {escaped(facts.title(record))}",
        _what_it_is(exported, record),
        "## Files\n\n" + "\n".join([section, *others]),
        "## Input and output\n\n" + _input_output(exported, record, data),
        "## Metrics\n\n" + _metrics(record, folder),
        "## Classes\n\n" + _classes(exported, record),
        "## Data\n\n" + _data(record),
        "## Training\n\n" + _training(record),
        "## Limits\n\n" + _limits(exported, record),
    ]
    body = "\n\n".join(block.strip("\n") for block in blocks) + "\n"
    return signed(body)


def _what_it_is(exported: Exported, record: RunRecord) -> str:
    net = str(select(record.config, "classifier.net._target_", "a net")).rpartition(".")[2]
    size_of = f" of {record.parameters.total:,} parameters" if record.parameters else ""
    classes = plural(len(exported.class_names), "class")
    headline = facts.measured(record, record.headline_metric)
    return (
        f"An image classifier, {escaped(net)}{size_of}: one picture in, a probability for each of {classes} out. "
        f"{capital(_in_words(headline))}."
    )


def _in_words(found: facts.Measured) -> str:
    metric = Metric(found.name)
    interval = f", 95% interval {metric.interval(found.low, found.high)} over images" if _is_number(found.low) else ""
    images = f" on {found.images:,} images" if found.images else ""
    return f"{metric.title} {metric.written(found.value)}{images}{interval}"


def _section(exported: Exported, record: RunRecord) -> str:
    agreed, name = exported.agreement, exported.path.name
    same = f"the same class for {agreed.same_class:,} of {agreed.images:,}"
    ties = f" ({plural(agreed.ties, 'tie')} within rounding)" if agreed.ties else ""
    compared = (
        f"Compared with the net on {agreed.images:,} {agreed.of}: probabilities differ by at most "
        f"{agreed.largest_difference:.1e} (accepted: {agreed.tolerance:g}), {same}{ties}."
    )
    if agreed.of != "test images":
        compared += " **It was not compared on the test images.**"
    elif agreed.accuracy is not None:
        compared += f" The file is right for {agreed.accuracy:.2%} of them."
    precision = f"computes in {exported.computes_in}"
    if exported.computes_in != exported.trained_in:
        precision += f" (the net was trained in {exported.trained_in})"
    rows = [[str(batch), *(f"{s * 1000:.3g} ms" for s in of)] for batch, of in exported.latency_s.items()]
    threads = plural(exported.threads, "thread")
    blocks = [
        f"### {escaped(name)}",
        f"{exported.format.name}, {size(exported.size_bytes)}, {precision}, SHA-256 `{exported.sha256}`.",
        compared,
        f"Median time of a call, {threads} of {escaped(cpu_model() or 'this processor')}, side by side:",
        _table(["pictures", "the net in PyTorch", "this file"], rows),
        *(["The file is for running the net elsewhere; opened as below it is not compiled."] * (name.endswith(".pt2"))),
        f"```python\n{snippet(exported, crop=_crop(record))}```\n",
    ]
    return as_section(name, exported.sha256, record.weights_sha256 or "", "\n\n".join(blocks))


def _input_output(exported: Exported, record: RunRecord, data: ImageDataModule) -> str:
    channels, height, width = exported.image_shape
    colours = {1: "grey", 3: "red, green, blue"}.get(channels, f"{channels} channels")
    lines = [
        f"`images`: uint8 (N, {channels}, {height}, {width}), N of 1 or more, pixels 0 … 255, {colours}. Normalisation "
        f"(mean {_numbers(data.mean)}, standard deviation {_numbers(data.std)} of pixels from 0 to 1) is inside.",
        f"`probabilities`: float32 (N, {len(exported.class_names)}); rows sum to 1, columns are the classes below. "
        "Softmax is inside.",
        "The file's metadata has the names of the classes, the metric, checksums and versions.",
    ]
    if channels in (1, 3):
        fitted = (
            "scaled until they cover it, then their centre is cropped"
            if _crop(record)
            else "stretched to it, whatever their shape"
        )
        lines.insert(1, f"Pictures of another size than {width}×{height} are {fitted}, bilinear with antialiasing.")
        lines.insert(2, "What they show must fill the frame as in the training images; margins are not cut off.")
    if data.permute_pixels:
        lines.append(
            "The run trained on pixels in another order, the same for all pictures; the file brings them into it."
        )
    if data.place:
        lines.append(
            f"In training the pictures stood in a part of this canvas ({data.place}), black around them; so must yours."
        )
    white = record.data.pixel_max if record.data else None
    if white:
        lines.append(f"The 16-bit pictures of the data were brought to 8 bits by 255 / {white:,}; so must yours.")
    return _list(lines)


def _metrics(record: RunRecord, folder: Path) -> str:
    rows = []
    names = [name for name in record.metrics if name.startswith(("test/", "val/"))]
    for name in sorted(names, key=lambda name: (name != record.headline_metric, not name.startswith("test/"), name)):
        found, metric = facts.measured(record, name), Metric(name)
        if math.isfinite(found.value):
            images = f"{found.images:,}" if found.images else ""
            rows.append([metric.title, metric.written(found.value), metric.interval(found.low, found.high), images])
    text = _table(["metric", "value", "95% interval", "images"], rows)
    text += "\n\nThe interval is Wilson's, for this net on other such images; it says nothing of other seeds."
    return f"{text}\n\n{_over_seeds(record, folder)}"


def _over_seeds(record: RunRecord, folder: Path) -> str:
    name = record.headline_metric
    runs = [run for run in facts.repetitions(folder, record) if math.isfinite(run.metrics.get(name, math.nan))]
    if len(runs) < 2:
        return f"No run beside this one differs in its seed ({record.seed}) alone: how much is its luck is not known."
    found, metric = summarize([run.metrics[name] for run in runs]), Metric(name)
    low, high = metric.bounds
    seeds = ", ".join(str(run.seed) for run in runs)
    return (
        f"{plural(len(runs), 'run')} of the sweep differ in seed or split only (seeds {seeds}; this: {record.seed}): "
        f"{metric.title} {metric.mean_and_std(found.mean, found.std)}{metric.unit}, mean and standard deviation; 95% "
        f"interval of the mean {metric.interval(max(found.ci_low, low), min(found.ci_high, high))}."
    )


def _classes(exported: Exported, record: RunRecord) -> str:
    known = facts.class_recalls(record)
    if not known:
        names = [[str(index), name] for index, name in enumerate(exported.class_names)]
        return _table(["column", "class"], names) + "\n\nThe record has no counts for each class."
    rows = list(enumerate(known))
    note = "Recall is the share of a class's test images that are given its name, with Wilson's 95% interval."
    if len(rows) > _MOST_CLASSES:
        rows = sorted(rows, key=lambda row: (math.isnan(row[1].recall), row[1].recall))[:_MOST_CLASSES]
        note += f" Shown are the {_MOST_CLASSES} of {len(known):,} classes with the lowest; the metadata has all names."
    cells = [
        [str(index), of.name, f"{of.n_images:,}", *(_share(of.recall), Metric(ACCURACY).interval(of.low, of.high))]
        for index, of in rows
    ]
    return _table(["column", "class", "test images", "recall, %", "95% interval"], cells) + f"\n\n{note}"


def _data(record: RunRecord) -> str:
    origin = origin_of(facts.source_target(record))
    lines = [f"{capital(origin.text)}.", f"Licence of the data: {origin.licence}."]
    if record.data:
        cut = {name: f" (cut from {of.cut_from})" if of.cut_from else "" for name, of in record.data.splits.items()}
        sizes = ", ".join(f"{name} {of.size:,}{cut[name]}" for name, of in record.data.splits.items())
        lines.append(f"Images: {sizes}.")
        lines += [f"{capital(escaped(note))}." for note in record.data.notes if "/" not in note]
    if record.data_sha256:
        lines.append(f"SHA-256 of images, labels and class names: `{record.data_sha256}`.")
    return _list(lines)


def _training(record: RunRecord) -> str:
    words = " ".join(shlex.quote(text) for text in facts.shown_overrides(record))
    environment = record.environment
    versions = ", ".join(f"{name} {version}" for name, version in sorted(environment.versions.items()))
    began = " It began with the weights of another run." if record.init_weights_sha256 else ""
    best = f"; the weights are those of epoch {record.best_epoch} (from 0)" if record.best_epoch is not None else ""
    lines = [
        f"Epochs: {len(record.history)}{best}. Seed {record.seed}.{began}",
        f"Time: {record.timings.fit_s:.0f} s on {escaped(environment.device)} ({escaped(environment.cpu)}, "
        f"{plural(environment.threads, 'thread')}).",
        f"Versions: {escaped(versions)}; Python {escaped(environment.python)}.",
        f"Fingerprint of the config: `{record.fingerprint}`. SHA-256 of the weights: `{record.weights_sha256}`.",
    ]
    return f"```\npython scripts/train.py {words}\n```\n\n{_list(lines)}"


def _limits(exported: Exported, record: RunRecord) -> str:
    lines = [
        "The numbers above hold for pictures like the test images. How it does on others was not measured.",
        f"It always gives one of {plural(len(exported.class_names), 'class')}, also for a picture of none of them.",
        "How often it is right where it is so sure was not looked at here; a high probability is no promise.",
    ]
    if exported.agreement.depends_on_batch:
        lines.append("**Its answer for a picture depends on the others in its batch**, as the net's own does.")
    if record.precision and "mixed" in record.precision:
        lines.append(f"It was tested in {record.precision}; the file computes in {exported.computes_in} throughout.")
    lines += [f"{capital(escaped(caveat))}." for caveat in record.caveats]
    lines.append("No licence of the weights is stated; whoever passes them on decides, and the data's may bind.")
    return _list(lines)


def _crop(record: RunRecord) -> bool:
    return bool(select(record.config, "data.source.crop", True))


def _share(value: float) -> str:
    return f"{value:.2%}".rstrip("%") if _is_number(value) else "–"


def _is_number(value: float) -> bool:
    return math.isfinite(value)


def _numbers(values: Iterable[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)


def _list(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *([escaped(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
