"""Training under Lightning is the loop one would write by hand, and what is logged is what it says."""

from __future__ import annotations

from functools import partial

import pytest
import pytorch_lightning as pl
import torch
from torch import nn
from torch.nn import functional

from vision_baselines.data.datamodule import ImageDataModule
from vision_baselines.data.sources import Noise
from vision_baselines.models.cnn import CNN
from vision_baselines.models.dropout import Dropout
from vision_baselines.seeding import draw_seed
from vision_baselines.training.module import ImageClassifier
from vision_baselines.training.parameter_table import ParameterTable

SHAPE, CLASSES = (1, 6, 6), 3
sgd = partial(torch.optim.SGD, lr=0.1, momentum=0.9)
adamw = partial(torch.optim.AdamW, lr=1e-2, weight_decay=0.01)


def data(seed=0, **more):
    source = Noise(train_size=28, val_size=8, test_size=10, image_shape=SHAPE, num_classes=CLASSES)
    options = {"image_shape": SHAPE, "num_classes": CLASSES, "mean": [0.5], "std": [0.125], "batch_size": 8}
    return ImageDataModule(source, seed=seed, eval_batch_size=5, **options, **more)


def net():
    torch.manual_seed(0)
    return CNN(SHAPE, CLASSES, channels=(2, 3), hidden_features=8)


def classifier(**options):
    return ImageClassifier(net(), **{"num_classes": CLASSES, "optimizer": sgd, **options})


def fitted(model, *, epochs=2, callbacks=(), datamodule=None):
    trainer = pl.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        callbacks=list(callbacks),
    )
    trainer.fit(model, datamodule=datamodule or data())
    return trainer


@pytest.fixture(autouse=True)
def _quiet_lightning():
    from vision_baselines.training.build import quieten_lightning

    quieten_lightning()


def by_hand(model, optimizer_of, *, epochs=2, seed=0):
    """Train `model` as the tutorial would, with the draws at their places; yields the loss of each step."""
    module = data(channels_last=False)
    module.setup()
    train = module.splits.train
    optimizer = optimizer_of(model.parameters())
    model.train()
    losses = []
    for epoch in range(epochs):
        order = torch.randperm(
            len(train.target), generator=torch.Generator().manual_seed(draw_seed(seed, "order", epoch))
        )
        for step, chosen in enumerate(order.split(8)):
            images = module.normalize(train.images[chosen])
            torch.manual_seed(draw_seed(seed, "step", epoch, step, 0))
            loss = functional.cross_entropy(model(images), train.target[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return losses


class Losses(pl.Callback):
    def __init__(self):
        self.values = []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.values.append(outputs["loss"].item())


@pytest.mark.parametrize("optimizer", [sgd, adamw], ids=["sgd", "adamw"])
def test_training_equals_a_plain_torch_loop_bit_for_bit(optimizer):
    reference = net()
    expected = by_hand(reference, optimizer)
    model, losses = classifier(optimizer=optimizer, channels_last=False), Losses()
    fitted(model, callbacks=[losses], datamodule=data(channels_last=False))
    assert losses.values == expected
    for ours, theirs in zip(model.net.state_dict().values(), reference.state_dict().values(), strict=True):
        assert torch.equal(ours, theirs)


def test_channels_last_training_follows_the_plain_loop_within_rounding():
    expected = by_hand(net(), sgd)
    losses = Losses()
    fitted(classifier(optimizer=sgd), callbacks=[losses])
    assert losses.values == pytest.approx(expected, rel=1e-4)


def test_channels_last_gradients_equal_contiguous_ones_within_rounding():
    images = torch.randn(16, *SHAPE)
    target = torch.arange(16) % CLASSES
    gradients = []
    for channels_last in (True, False):
        model = classifier(channels_last=channels_last)
        model.eval()  # no dropout
        layout = torch.channels_last if channels_last else torch.contiguous_format
        functional.cross_entropy(model(images.to(memory_format=layout)), target).backward()
        gradients.append([p.grad for p in model.net.parameters()])
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_channels_last_lays_out_the_weights():
    weight = classifier().net.features[1][0].weight
    assert weight.is_contiguous(memory_format=torch.channels_last)


def test_the_six_metrics_are_logged_once_an_epoch_and_no_others():
    trainer = fitted(classifier(), epochs=1)
    assert set(trainer.callback_metrics) == {"train/loss", "train/acc", "val/loss", "val/acc"}
    trainer.test(trainer.lightning_module, datamodule=trainer.datamodule, verbose=False)
    assert {"test/loss", "test/acc"} <= set(trainer.callback_metrics)


def test_validation_metrics_are_the_means_over_all_images():
    trainer = fitted(classifier(), epochs=1)
    model, split = trainer.lightning_module, trainer.datamodule.splits.val
    model.eval()
    with torch.no_grad():
        logits = model(trainer.datamodule.normalize(split.images))
    assert float(trainer.callback_metrics["val/loss"]) == pytest.approx(
        float(functional.cross_entropy(logits, split.target)), rel=1e-5
    )
    assert float(trainer.callback_metrics["val/acc"]) == pytest.approx(
        float((logits.argmax(1) == split.target).float().mean())
    )


def test_the_training_loss_weighs_a_short_last_batch_by_its_images():
    losses = Losses()
    trainer = fitted(classifier(), epochs=1, callbacks=[losses])  # 20 images: batches of 8, 8 and 4
    expected = sum(n * loss for n, loss in zip((8, 8, 4), losses.values, strict=True)) / 20
    assert float(trainer.callback_metrics["train/loss"]) == pytest.approx(expected, rel=1e-5)


def test_the_confusion_matrix_counts_every_test_image_in_its_targets_row():
    trainer = fitted(classifier(), epochs=1)
    model, split = trainer.lightning_module, trainer.datamodule.splits.test
    trainer.test(model, datamodule=trainer.datamodule, verbose=False)
    model.eval()
    with torch.no_grad():
        predicted = model(trainer.datamodule.normalize(split.images)).argmax(1)
    expected = [[int(((split.target == t) & (predicted == p)).sum()) for p in range(3)] for t in range(3)]
    assert model.test_report().confusion == expected


class Disturbing(pl.Callback):
    """Draws from the global generator before every step, as any other code might."""

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        torch.rand(17)


def test_dropout_does_not_depend_on_who_else_draws():
    quiet, disturbed = classifier(), classifier()
    fitted(quiet)
    fitted(disturbed, callbacks=[Disturbing()])
    for ours, theirs in zip(quiet.net.state_dict().values(), disturbed.net.state_dict().values(), strict=True):
        assert torch.equal(ours, theirs)


def test_dropout_depends_on_the_seed():
    one, other = classifier(seed=0), classifier(seed=1)
    fitted(one)
    fitted(other)
    assert not torch.equal(one.net.head[1].weight, other.net.head[1].weight)


class Rates(pl.Callback):
    def __init__(self):
        self.values = []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self.values.append(trainer.optimizers[0].param_groups[0]["lr"])


def rates(scheduler, interval="epoch", epochs=4):
    seen = Rates()
    fitted(
        classifier(optimizer=partial(torch.optim.SGD, lr=0.1), scheduler=scheduler, scheduler_interval=interval),
        epochs=epochs,
        callbacks=[seen],
    )
    return seen.values  # three steps an epoch


def test_cosine_annealing_goes_from_the_rate_to_zero_epoch_by_epoch():
    from math import cos, pi

    got = rates(partial(torch.optim.lr_scheduler.CosineAnnealingLR, T_max=4))
    assert got == pytest.approx([0.1 * (1 + cos(pi * epoch / 4)) / 2 for epoch in range(4) for _ in range(3)])


def test_one_cycle_is_given_the_steps_of_the_whole_run():
    got = rates(partial(torch.optim.lr_scheduler.OneCycleLR, max_lr=0.1), interval="step")
    parameter = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=0.1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.1, total_steps=12)
    expected = []
    for _ in range(12):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert got == pytest.approx(expected)
    assert got[0] < 0.01 < 0.099 < max(got)
    assert got[-1] < 1e-4


def test_a_stated_number_of_steps_is_left_alone():
    got = rates(partial(torch.optim.lr_scheduler.OneCycleLR, max_lr=0.1, total_steps=99), interval="step")
    assert got[-1] > got[0]  # still going up


def test_a_plateau_lowers_the_rate_when_val_loss_does_not_improve():
    never = partial(torch.optim.lr_scheduler.ReduceLROnPlateau, patience=0, factor=0.5, threshold=1e9)
    got = rates(partial(never, threshold_mode="abs"))
    assert got[::3] == pytest.approx([0.1, 0.1, 0.05, 0.025])


def test_without_a_schedule_the_rate_stays():
    assert set(rates(None)) == {0.1}


@pytest.mark.slow
@pytest.mark.ci
def test_a_net_is_compiled_when_asked_and_keeps_its_names_and_its_losses():
    graphs = []

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    found = {}
    for compile in (None, {"backend": backend}):
        torch.manual_seed(0)
        losses = Losses()
        model = ImageClassifier(
            CNN(SHAPE, CLASSES, channels=(2, 3), hidden_features=8, dropout=0.0),
            num_classes=CLASSES,
            optimizer=sgd,
            compile=compile,
        )
        fitted(model, epochs=1, callbacks=[losses, ParameterTable()])
        found[compile is not None] = (losses.values, list(model.state_dict()))
        assert bool(graphs) is (compile is not None)
    torch._dynamo.reset()
    assert found[True] == found[False]


def test_dropout_does_not_break_a_compiled_graph():
    torch._dynamo.reset()
    explained = torch._dynamo.explain(Dropout(0.5).train())(torch.ones(4, 8))
    assert explained.graph_break_count == 0
