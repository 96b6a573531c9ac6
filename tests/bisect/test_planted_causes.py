"""Each cause is planted, and step, place and cause are found."""

from __future__ import annotations

import itertools
import json
import random
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from vision_baselines.evaluation.bisect import bisect
from vision_baselines.seeding import generator
from vision_baselines.training import build
from vision_baselines.training.run import train

CONV = "features.1.0"  # the second convolution of the tiny net


class RandomBackward(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient * float(np.random.default_rng().uniform(0.9, 1.1))


@torch.library.custom_op("planted::kernel", mutates_args=())
def kernel(x: torch.Tensor) -> torch.Tensor:
    """A stand-in for a kernel whose threads add up in any order."""
    return x * float(np.random.default_rng().uniform(0.9, 1.1))


@kernel.register_fake
def _(x):
    return torch.empty_like(x)


kernel.register_autograd(lambda ctx, gradient: gradient)


def numpys_generator_in_dropout(at):
    """A stray draw of another length in each run, and a dropout that draws from the same generator."""
    at.with_callback(at.acts(7, lambda *_: np.random.rand(at.clock())))
    at.plant_in("head.3", 0, lambda y: y * torch.from_numpy(np.random.rand(*y.shape) < 0.9))


def noise_by_the_clock(at):
    at.plant_in(CONV, 3, lambda y: y + 1e-3 * at.clock() * y.square())


def random_backward(at):
    at.plant_in(CONV, 2, RandomBackward.apply)


def order_of_the_data(at):
    def shuffle(datamodule):
        original = datamodule.train_dataloader

        def loader():
            made = original()
            order = made.batch_sampler.sampler
            indices = order.indices
            order.indices = lambda: indices().roll(at.clock() * (order.position().epoch == 1))
            return made

        datamodule.train_dataloader = loader

    at.plant("datamodule", shuffle)


def learning_rate(at):
    rates = iter((1, 1.5, 1, 1.5, 1, 1.5))

    def change(trainer, module):
        trainer.optimizers[0].param_groups[0]["lr"] *= next(rates)

    at.with_callback(at.acts(5, change))


def optimizers_state(at):
    def change(trainer, module):
        state = next(iter(trainer.optimizers[0].state.values()))
        state["exp_avg"] += at.clock()

    at.with_callback(at.acts(4, change))


def initial_weights(at):
    def draw(classifier):
        with torch.no_grad():
            classifier.net.get_submodule(CONV).weight += float(np.random.default_rng().random())

    at.plant("classifier", draw)


def augmentation(at):
    at.with_callback(at.acts(8, lambda *_: np.random.rand(at.clock())))

    def augment(datamodule):
        datamodule.augment = lambda images, generator: images // 2 + np.random.randint(100)

    at.plant("datamodule", augment)


def threads(at):
    """Sums of tiny tensors agree whatever the threads, so a stand-in takes their number."""

    def change(y):
        torch.set_num_threads(1 + len(at.runs) % 2)
        return y + 1e-3 * torch.get_num_threads() * y.square()

    at.plant("classifier", at.runs.append)
    at.plant_in(CONV, 2, change)


def statistics_between_steps(at):
    def change(trainer, module):
        module.net.get_submodule("features.1.1").running_mean += at.clock()

    at.with_callback(at.acts(6, change))


def statistics_in_a_step(at):
    def change(classifier):
        classifier.net.get_submodule("features.0.1").momentum = 1 / (1 + at.clock())

    at.plant("classifier", change)


def random_loss(at):
    def change(classifier):
        original = classifier.task.step

        def step(net, batch):
            loss, *rest = original(net, batch)
            return loss + random.SystemRandom().random(), *rest

        classifier.task.step = step

    at.plant("classifier", change)


def generator_without_seed(at):
    def noise(y):
        generator = torch.Generator()
        generator.seed()
        return y + torch.randn(y.shape, generator=generator)

    at.plant_in(CONV, 1, noise)


def another_path(at):
    at.plant("classifier", at.runs.append)
    at.plant_in(CONV, 2, lambda y: y.abs() if len(at.runs) % 2 else y.neg())


def nondeterministic_kernel(at):
    at.plant_in(CONV, 2, kernel)


# What is planted, whether the run kept a trace, and what is found: step, quantity, place, likely cause.
LIVE = [
    (
        numpys_generator_in_dropout,
        7,
        "loss",
        r"forward pass: head\.3 \(Dropout\)",
        "draw from NumPy's global generator",
    ),
    (noise_by_the_clock, 3, "loss", r"forward pass: features\.1\.0 \(Conv2d\), in aten\.mul", "the clock"),
    (random_backward, 2, "gradients", r"backward pass: features\.1\.0 \(Conv2d\), in aten\.mul", "without a seed"),
    (order_of_the_data, 6, "targets", "the batch", "in another order"),
    (learning_rate, 5, "settings", "optimizer, in aten", r"another learning rate: 0\.001 ≠ 0\.0015"),
    (optimizers_state, 4, "moments", "optimizer, in aten", "the optimizer's state was changed between two steps"),
    (initial_weights, 0, "weights", r"before the step: weight features\.1\.0\.weight", "other initial weights"),
    (augmentation, 9, "images", "the batch", "augmentation draws from NumPy's global generator"),
    (threads, 2, "loss", r"forward pass: features\.1\.0", "another number of threads: [12] ≠ [12]"),
    (statistics_between_steps, 6, "buffers", r"buffer features\.1\.1\.running_mean", "changed between two steps"),
    (statistics_in_a_step, 0, "statistics", r"forward pass: features\.0\.1 \(BatchNorm2d\)", "torch did not make"),
    (random_loss, 0, "loss", r"forward pass: outside of every module \(the loss\), in aten\.add", "without a seed"),
    (generator_without_seed, 1, "loss", r"features\.1\.0 .*aten\.(randn|normal_)", "generator without a seed"),
    (another_path, 2, "loss", r"features\.1\.0 .*aten\.(abs|neg)", "another path"),
    (
        nondeterministic_kernel,
        2,
        "loss",
        r"features\.1\.0 .*planted\.kernel",
        "nondeterministic kernel: planted.kernel",
    ),
]
ESSENTIAL = {"noise_by_the_clock"}


def marked(case):
    ci = [pytest.mark.ci] if case[0].__name__ in ESSENTIAL else []
    return pytest.param(*case, id=case[0].__name__, marks=[pytest.mark.slow, *ci])


def check(found, step, quantity, where, cause):
    text = "\n".join(found.lines())
    assert not found.passed
    assert found.evidence is not None, text
    assert (found.evidence.before.step, found.evidence.quantity) == (step, quantity), text
    assert re.search(where, found.where), text
    assert re.search(cause, found.cause.text), text
    assert found.batches == step, text


@pytest.fixture
def at(with_callback, plant, plant_in, clock, acts):
    """What a cause is planted with."""
    return SimpleNamespace(with_callback=with_callback, plant=plant, plant_in=plant_in, clock=clock, acts=acts, runs=[])


@pytest.mark.parametrize(("planted", "step", "quantity", "where", "cause"), [marked(case) for case in LIVE])
def test_step_module_and_cause_are_found(recorded, at, planted, step, quantity, where, cause):
    folder = recorded()
    before = sorted(folder.rglob("*"))
    planted(at)
    check(bisect(folder), step, quantity, where, cause)
    assert sorted(folder.rglob("*")) == before


CLIP = "+trainer.gradient_clip_val=0.5"
# An override of the new run, and what is found against the recorded trace.
CHANGED = [
    ("classifier.optimizer.lr=0.002", "settings", "optimizer, in aten", "another learning rate: 0.001 ≠ 0.002 (class"),
    ("classifier.optimizer.weight_decay=0.5", "settings", "optimizer, in aten", "another setting of the optimizer"),
    ("classifier.seed=7", "loss", "head.3 (Dropout), in aten.random_", "another config (classifier.seed: 0 → 7)"),
    ("data.seed=7", "targets", "the batch", "another config (data.seed: 0 → 7)"),
    ("data.batch_size=4", "targets", "the batch", "another config (data.batch_size: 8 → 4)"),
    ("trainer.gradient_clip_val=0.001", "clipped", "clipping and optimizer", "gradient_clip_val: 0.5 → 0.001"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("override", "quantity", "where", "cause"), CHANGED, ids=[case[0] for case in CHANGED])
def test_what_was_changed_is_named_beside_what_it_changes_first(recorded, override, quantity, where, cause):
    found = bisect(recorded("trace=true", CLIP), overrides=[override])
    check(found, 0, quantity, re.escape(where), re.escape(cause))
    assert found.evidence.repeatable


@pytest.mark.slow
@pytest.mark.ci
def test_code_that_has_changed_is_named_with_the_module_whose_result_it_changes(recorded, plant_in, tmp_path):
    folder = shutil.copytree(recorded("trace=true", CLIP), tmp_path / "job")
    record = json.loads((folder / "run.json").read_text())
    record["code"]["vision_baselines.models.cnn"] = "another"
    (folder / "run.json").write_text(json.dumps(record))
    plant_in(CONV, 0, lambda y: y + 0.1 * y.square())
    said: list[str] = []
    found = bisect(folder, on_training=said.append)
    check(
        found,
        0,
        "loss",
        r"forward pass: features\.1\.0 \(Conv2d\), in aten\.pow",
        "other code: models.cnn",
    )
    assert said[0] == "training 1 of at most 7: until it parts from the trace"
    assert [line.partition(" of ")[0] for line in said] == [f"training {n}" for n in range(1, len(said) + 1)]


@pytest.mark.slow
def test_chance_is_told_from_a_change_that_came_after_the_trace(recorded, at):
    """Against a trace, runs made now are compared with each other too."""
    noise_by_the_clock(at)
    found = bisect(recorded("trace=true", CLIP))
    check(found, 3, "loss", r"forward pass: features\.1\.0", "the clock")
    assert "from each other too" in found.compared


@pytest.mark.slow
def test_a_change_in_mid_run_that_no_record_shows_is_said_to_be_one(recorded, at):
    def change(trainer, module):
        module.net.get_submodule("head.4").register_forward_hook(lambda module, args, output: output * 1.5)

    at.with_callback(at.acts(5, change))
    found = bisect(recorded("trace=true", CLIP))
    check(found, 5, "loss", "forward pass; a trace does not keep the module", "a change that no record shows")


@pytest.mark.slow
def test_an_image_that_was_changed_on_disk_is_other_data_from_its_step_on(compose, tmp_path):
    rng = np.random.default_rng(0)
    for label, index in itertools.product(("cat", "dog"), range(20)):
        path = tmp_path / "pictures" / label / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(path)
    source = [f"data.source.{text}" for text in (f"root={tmp_path / 'pictures'}", "image_size=8")]
    place = f"paths.data_dir={tmp_path / 'data'}"
    small = ["data.batch_size=4", "model=fc", "model.hidden_features=[4]", "trainer.max_epochs=1", "logger=none"]
    cfg = compose("data=image_folder", *source, *small, "trace=true", place)
    train(cfg)
    datamodule = build.datamodule(cfg)
    datamodule.setup()
    names = datamodule.sample_ids("train")
    order = torch.randperm(len(names), generator=generator(0, "order", 0))
    changed = tmp_path / "pictures" / names[int(order[9])]
    Image.fromarray(255 - np.asarray(Image.open(changed))).save(changed)
    found = bisect(Path(cfg.paths.run_dir), overrides=[place])
    check(found, 2, "images", "the batch", "other data: its SHA-256 is not the same")


@pytest.mark.slow
def test_runs_that_agree_with_each_other_and_not_with_the_record_have_a_lasting_cause(recorded, plant_in, tmp_path):
    folder = shutil.copytree(recorded(), tmp_path / "job")
    assert bisect(folder).passed
    plant_in(CONV, 0, lambda y: y + 0.1 * y.square())
    found = bisect(folder)
    text = "\n".join(found.lines())
    assert not found.passed
    assert "same  all 12 training batches" in text
    assert "DIFFERENT  from the record, weights, last step" in text
    assert "a change that no record shows" in text
