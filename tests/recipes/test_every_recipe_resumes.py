"""Every recipe trains, is killed in mid-epoch and resumed, and ends with the weights of the run that was not."""

from __future__ import annotations

import pytest

from vision_baselines.runs.record import Status

EACH = {
    **{
        f"scheduler={name}": [f"scheduler={name}"]
        for name in ("warmup_cosine", "linear", "triangular", "exponential", "step", "multistep")
    },
    "warmup_cosine by epoch": ["scheduler=warmup_cosine", "scheduler.interval=epoch", "scheduler.schedule.warmup=1"],
    "step by step": ["scheduler=step", "scheduler.interval=step", "scheduler.schedule.every=3"],
    "linear to max_steps": ["scheduler=linear", "+trainer.max_steps=15", "+trainer.accumulate_grad_batches=2"],
    **{f"optimizer={name}": [f"optimizer={name}"] for name in ("adam", "rmsprop", "adadelta", "lion", "muon")},
    "no decay": ["parameter_groups=no_decay", "optimizer.weight_decay=0.5"],
    "no decay, muon": ["parameter_groups=no_decay", "optimizer=muon", "scheduler=triangular"],
    "groups by name": ["+parameter_groups.deep={match:[last],lr:0.1}", "optimizer=sgd", "scheduler=linear"],
    "lookahead": ["classifier.lookahead={every:4,share:0.5}", "scheduler=warmup_cosine"],
    "lookahead around two": ["classifier.lookahead={every:4,share:0.5}", "optimizer=muon"],
    "muon, clipped, mixed": ["optimizer=muon", "+trainer.gradient_clip_val=0.1", "trainer.precision=bf16-mixed"],
    **{
        f"augment={name}": [f"augment={name}", *more]
        for name, *more in (
            ("crop_flip", "augment.crop_px=2"),
            ("alternating_flip",),
            ("rotate",),
            ("erasing",),
            ("randaugment",),
            ("trivial_augment",),
            ("crop_flip_erasing",),
        )
    },
    "mixup": ["mix=mixup"],
    "cutmix": ["mix=cutmix"],
    "both, augmented, loaded apart": ["mix=cutmix", "mix.mixup=1.0", "augment=rotate", "data.num_workers=1"],
    "two and a half epochs": ["trainer.max_epochs=2.5"],
    "half epochs, accumulated": ["trainer.max_epochs=2.5", "+trainer.accumulate_grad_batches=2", "scheduler=linear"],
    "all images, the last epoch": ["data.val_size=0", "scheduler=triangular"],
    "whitened": ["first_layer=whiten", "freeze=first_layer"],
    "a speed run": [
        "data.val_size=0",
        "trainer.max_epochs=2.9",
        "first_layer=whiten",
        "freeze=first_layer",
        "augment=alternating_flip",
        "scheduler=triangular",
        "optimizer=sgd",
        "classifier.lookahead={every:5,share:0.5}",
        "parameter_groups=no_decay",
        "task.label_smoothing=0.2",
    ],
    "the same images again": ["augment=erasing", "+trainer.overfit_batches=3"],
}
ALWAYS = ("no decay, muon", "lookahead around two")


OFTEN = ["trainer.max_epochs=3", "checkpoint_every_n_steps=1", "checkpoint=last"]


@pytest.fixture(scope="module")
def plain(train_tiny, tmp_path_factory):
    """The run of the defaults, which no recipe may be."""
    return train_tiny(tmp_path_factory.mktemp("plain") / "run", *OFTEN)


@pytest.mark.slow
@pytest.mark.parametrize(
    "overrides",
    [pytest.param(value, id=key, marks=pytest.mark.ci if key in ALWAYS else ()) for key, value in EACH.items()],
)
def test_a_recipe_that_is_killed_and_resumed_ends_with_the_same_bits(overrides, run_tiny, resumed_after, plain):
    often = [*OFTEN, *overrides]
    whole = run_tiny("whole", *often)
    record = resumed_after(5, run_tiny, *often)
    assert whole.status is record.status is Status.FINISHED
    assert record.attempts == 2
    assert record.final_weights_sha256 == whole.final_weights_sha256 != plain.final_weights_sha256
    assert record.metrics == whole.metrics
    assert [row.model_dump() for row in record.history] == [row.model_dump() for row in whole.history]
