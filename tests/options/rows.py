"""What is tried of Lightning's Trainer and its callbacks: docs/options.md is made from these rows.

``python tests/options/rows.py`` writes the page.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "options.md"
_PL = "pytorch_lightning.callbacks"


@dataclass(frozen=True)
class Row:
    """An option, how it is tried, and what is said of it.

    Attributes:
        option: A parameter of the Trainer, or the name of a callback.
        overrides: As on the command line.
        note: What a reader should know; for a refused one, words of its message.
        supported: Whether a killed and resumed run is the uninterrupted one; else it is refused before training.
        says: For a refused one, words of its message.
    """

    option: str
    overrides: tuple[str, ...]
    note: str = ""
    supported: bool = True
    says: str = ""


def callback(name: str, *arguments: str) -> tuple[str, ...]:
    """Overrides that add one of Lightning's callbacks."""
    return (f"+callbacks.extra._target_={_PL}.{name}", *(f"+callbacks.extra.{text}" for text in arguments))


SUPPORTED = (
    Row("accelerator", ("trainer.accelerator=cpu",), "cpu, gpu, auto, mps"),
    Row("devices", ("trainer.devices=1",), "one device"),
    Row("precision", ("trainer.precision=32-true",)),
    Row("precision", ("trainer.precision=bf16-mixed",)),
    Row("precision", ("trainer.precision=16-mixed",), "on a CPU Lightning uses bf16-mixed; the record says what ran"),
    Row("precision", ("trainer.precision=64-true",), "weights, data and optimizer in 64 bits"),
    Row(
        "precision", ("trainer.precision=bf16-true",), "weights too; validation and test losses are computed in 32 bits"
    ),
    Row("precision", ("trainer.precision=16-true",), "as bf16-true; its range is small, so a run may diverge"),
    Row("fast_dev_run", ("+trainer.fast_dev_run=false",), "true is a partial run, and is left out of comparisons"),
    Row("max_epochs", ("trainer.max_epochs=2",)),
    Row(
        "max_epochs", ("trainer.max_epochs=2.5", "checkpoint=last"), "that part of the steps; the last weights are kept"
    ),
    Row("min_epochs", ("+trainer.min_epochs=1",)),
    Row("max_steps", ("+trainer.max_steps=1000",), "also where it is never reached"),
    Row("max_steps", ("+trainer.max_steps=10",), "ends in mid-epoch"),
    Row(
        "max_steps",
        ("+trainer.max_steps=7", "+trainer.accumulate_grad_batches=2"),
        "also where a kill falls between an epoch's start and its first step",
    ),
    Row("min_steps", ("+trainer.min_steps=3",)),
    Row("limit_train_batches", ("+trainer.limit_train_batches=4",), "a partial run"),
    Row("limit_train_batches", ("+trainer.limit_train_batches=0.5",), "a partial run"),
    Row("limit_val_batches", ("+trainer.limit_val_batches=1",), "a partial run"),
    Row("limit_val_batches", ("+trainer.limit_val_batches=0",), "no validation: the last weights are kept"),
    Row("limit_test_batches", ("+trainer.limit_test_batches=1",), "a partial run"),
    Row("limit_predict_batches", ("+trainer.limit_predict_batches=1",), "nothing is predicted in a run"),
    Row("overfit_batches", ("+trainer.overfit_batches=2",), "a partial run"),
    Row("val_check_interval", ("+trainer.val_check_interval=0.5",), "the record has the metrics of the weights kept"),
    Row("val_check_interval", ("+trainer.val_check_interval=2",)),
    Row("val_check_interval", ("+trainer.val_check_interval=8", "+trainer.check_val_every_n_epoch=null")),
    Row("check_val_every_n_epoch", ("+trainer.check_val_every_n_epoch=2",), "no value in epochs without validation"),
    Row("check_val_every_n_epoch", ("+trainer.check_val_every_n_epoch=2", "scheduler=plateau")),
    Row("num_sanity_val_steps", ("trainer.num_sanity_val_steps=1",)),
    Row("log_every_n_steps", ("trainer.log_every_n_steps=2",)),
    Row("enable_progress_bar", ("trainer.enable_progress_bar=false",)),
    Row("enable_model_summary", ("trainer.enable_model_summary=true",)),
    Row("enable_autolog_hparams", ("+trainer.enable_autolog_hparams=false",)),
    Row("accumulate_grad_batches", ("+trainer.accumulate_grad_batches=4",), "states are saved between optimizer steps"),
    Row("gradient_clip_val", ("+trainer.gradient_clip_val=0.5",), "by norm"),
    Row("gradient_clip_val", ("+trainer.gradient_clip_val=0.5", "trainer.precision=bf16-mixed"), "not fused then"),
    Row("gradient_clip_algorithm", ("+trainer.gradient_clip_val=0.01", "+trainer.gradient_clip_algorithm=value")),
    Row("deterministic", ("+trainer.deterministic=true",)),
    Row("benchmark", ("+trainer.benchmark=false",)),
    Row("inference_mode", ("+trainer.inference_mode=false",)),
    Row("use_distributed_sampler", ("trainer.use_distributed_sampler=false",)),
    Row("profiler", ("trainer.profiler=simple",)),
    Row("detect_anomaly", ("+trainer.detect_anomaly=true",)),
    Row("sync_batchnorm", ("trainer.sync_batchnorm=false",), "true on several CUDA devices"),
    Row("devices", ("trainer.devices=2", "trainer.strategy=ddp"), "processes on one machine; see howto/gpu.md"),
    Row("strategy", ("trainer.devices=2", "trainer.strategy=ddp_spawn"), "also ddp_fork, ddp_notebook: all the same"),
    Row(
        "devices",
        ("trainer.devices=2", "trainer.precision=bf16-mixed", "+trainer.accumulate_grad_batches=4"),
        "with accumulation, by the whole batches",
    ),
    Row("devices", ("trainer.devices=2", *callback("EMAWeightAveraging", "decay=0.9"))),
    Row("devices", ("trainer.devices=2", *callback("EarlyStopping", "monitor=val/loss", "patience=1"))),
    Row("devices", ("trainer.devices=3", "+trainer.gradient_clip_val=0.5", "data.num_workers=1")),
    Row("default_root_dir", (), "the run's folder"),
    Row("EarlyStopping", callback("EarlyStopping", "monitor=val/loss", "patience=1"), "stays stopped after a resume"),
    Row("ModelCheckpoint", callback("ModelCheckpoint", "monitor=val/acc", "dirpath=${paths.run_dir}/extra")),
    Row("EMAWeightAveraging", callback("EMAWeightAveraging", "decay=0.9"), "the average is kept, tested, recorded"),
    Row(
        "WeightAveraging",
        callback("WeightAveraging"),
        "the average is kept, tested, recorded; on CUDA torch cannot average whole numbers, such as those that batch "
        "normalisation counts: EMAWeightAveraging can",
    ),
    Row(
        "StochasticWeightAveraging",
        callback("StochasticWeightAveraging", "swa_lrs=0.01", "swa_epoch_start=1"),
        "the average is kept, tested, recorded; resumed from an epoch's start",
    ),
    Row(
        "GradientAccumulationScheduler",
        callback("GradientAccumulationScheduler", "scheduling={0:2,1:3}"),
        "resumed from an epoch's start",
    ),
    Row("LearningRateMonitor", (), "part of every run that logs"),
    Row("DeviceStatsMonitor", callback("DeviceStatsMonitor"), "its numbers differ from run to run"),
    Row("RichModelSummary", callback("RichModelSummary")),
    Row("ModelSummary", callback("ModelSummary")),
    Row("TQDMProgressBar", callback("TQDMProgressBar"), "shown on a terminal"),
    Row("RichProgressBar", (), "part of every run, shown on a terminal"),
    Row("callbacks=early_stopping", ("callbacks=early_stopping", "callbacks.early_stopping.patience=1")),
    Row("callbacks=ema", ("callbacks=ema", "model.norm=batch"), "the average is kept, tested, recorded"),
    Row(
        "callbacks=swa",
        ("callbacks=swa", "model.norm=batch", "callbacks.swa.swa_epoch_start=1"),
        "the average is tested, after its batch statistics were measured anew",
    ),
    Row("callbacks=[early_stopping,ema]", ("callbacks=[early_stopping,ema]", "callbacks.early_stopping.patience=1")),
    Row("callbacks=model_checkpoint", ("callbacks=model_checkpoint",), "below the run's folder"),
    Row("callbacks=model_summary", ("callbacks=model_summary",)),
    Row("callbacks=rich_progress_bar", ("callbacks=rich_progress_bar",), "shown on a terminal"),
    Row("callbacks=none", ("callbacks=none",), "the curves have no learning rate then"),
    Row("callbacks=lr_finder", ("callbacks=lr_finder", "callbacks.lr_finder.steps=10"), "changes nothing in the run"),
    Row("num_workers", ("data.num_workers=1",), "data.num_workers, always persistent"),
    Row("num_workers", ("data.num_workers=2",), "data.num_workers, always persistent"),
    Row(
        "trace",
        ("trace=true",),
        "hashes of every step, the same after a resume; `reproduce.py RUN --bisect` reads them",
    ),
    Row("optimizer", ("optimizer=muon",), "two optimizers in one: Muon for matrices, AdamW for the rest"),
    Row(
        "optimizer",
        ("optimizer=muon", "+trainer.gradient_clip_val=0.1", "trainer.precision=16-mixed"),
        "clipped together",
    ),
    Row("parameter_groups", ("parameter_groups=no_decay", "scheduler=triangular"), "a schedule keeps their ratio"),
    Row("lookahead", ("classifier.lookahead={every:4,share:0.5}",), "slow weights are part of the optimizer's state"),
    Row("mix", ("mix=cutmix", "mix.mixup=0.4", "augment=erasing"), "mixed targets; train/ counts the larger share"),
    Row("first_layer", ("first_layer=whiten", "freeze=first_layer"), "from training patches, once"),
    Row("checkpoint", ("checkpoint=last",), "the weights at the end are kept, tested, recorded"),
    Row(
        "val_size", ("data.val_size=0", "checkpoint=last"), "all images are trained on; the record and the page say so"
    ),
    Row("val_size", ("data.val_size=0", "checkpoint=last", *callback("EMAWeightAveraging", "decay=0.9"))),
    Row("val_size", ("data.val_size=0", "checkpoint=last", "+trainer.accumulate_grad_batches=4")),
)
REFUSED = (
    Row("callbacks=[ema,swa]", ("callbacks=[ema,swa]",), "one average is tested", False, "average the weights"),
    *(
        Row("strategy", (f"trainer.strategy={name}", "trainer.devices=2"), "auto or ddp", False, "trainer.strategy")
        for name in ("fsdp", "deepspeed", "dp")
    ),
    Row("devices", ("trainer.devices=-1",), "a number, the same on every machine", False, "trainer.devices"),
    Row("devices", ("trainer.devices=[0,1]",), "a number, the same on every machine", False, "trainer.devices"),
    Row("devices", ("data.batch_size=3", "trainer.devices=2"), "two images each", False, "data.batch_size"),
    Row("devices", ("trainer.accelerator=mps", "trainer.devices=2"), "cpu or gpu", False, "trainer.accelerator"),
    Row("devices", ("trace=true", "trainer.devices=2"), "it follows one process", False, "trace"),
    Row(
        "devices",
        (*callback("StochasticWeightAveraging", "swa_lrs=0.01"), "trainer.devices=2"),
        "SWA goes through the data again, in one process",
        False,
        "StochasticWeightAveraging",
    ),
    Row("sync_batchnorm", ("trainer.sync_batchnorm=true",), "CUDA only", False, "trainer.sync_batchnorm"),
    Row("num_nodes", ("+trainer.num_nodes=2",), "one machine", False, "trainer.num_nodes"),
    Row("logger", ("+trainer.logger=true",), "the group logger", False, "trainer.logger"),
    Row("callbacks", ("+trainer.callbacks=[]",), "the group callbacks", False, "callbacks."),
    Row("plugins", ("+trainer.plugins=[]",), "checkpoints have their own", False, "trainer.plugins"),
    Row("barebones", ("+trainer.barebones=true",), "a run needs its callbacks", False, "trainer.barebones"),
    Row(
        "enable_checkpointing",
        ("+trainer.enable_checkpointing=false",),
        "a run keeps its weights",
        False,
        "trainer.enable_checkpointing",
    ),
    Row(
        "reload_dataloaders_every_n_epochs",
        ("+trainer.reload_dataloaders_every_n_epochs=1",),
        "data is read once",
        False,
        "reload_dataloaders",
    ),
    Row("model_registry", ("+trainer.model_registry=x",), "checkpoints stay in the folder", False, "model_registry"),
    Row("BackboneFinetuning", callback("BackboneFinetuning"), "use freeze and init_from", False, "BackboneFinetuning"),
    Row("BatchSizeFinder", callback("BatchSizeFinder"), "use data.batch_size", False, "BatchSizeFinder"),
    Row("LearningRateFinder", callback("LearningRateFinder"), "sweep optimizer.lr", False, "LearningRateFinder"),
    Row(
        "ModelPruning",
        callback("ModelPruning", "pruning_fn=l1_unstructured"),
        "its masks are lost by a resume",
        False,
        "ModelPruning",
    ),
    Row("LambdaCallback", callback("LambdaCallback"), "functions cannot be named", False, "LambdaCallback"),
    Row(
        "OnExceptionCheckpoint",
        callback("OnExceptionCheckpoint", "dirpath=x"),
        "a run saves its own",
        False,
        "OnExceptionCheckpoint",
    ),
    Row("seed", ("seed=auto",), "goes with hydra/sweeper=until_decided", False, "hydra/sweeper=until_decided"),
    Row("limit_train_batches", ("+trainer.limit_train_batches=0",), "nothing to train on", False, "limit_train"),
    Row("limit_test_batches", ("+trainer.limit_test_batches=0",), "nothing to test on", False, "limit_test"),
    Row("accumulate_grad_batches", ("+trainer.accumulate_grad_batches=0",), "", False, "accumulate_grad_batches"),
    Row("gradient_clip_val", ("+trainer.gradient_clip_val=-1",), "", False, "gradient_clip_val"),
    Row(
        "val_check_interval",
        ("+trainer.val_check_interval='00:00:01:00'",),
        "by the clock, no two runs agree",
        False,
        "val_check_interval",
    ),
    Row(
        "CSVLogger",
        ("logger=none", "+logger.x._target_=pytorch_lightning.loggers.CSVLogger", "+logger.x.save_dir=x"),
        "use logger=csv",
        False,
        "CSVLogger",
    ),
)
# Tried by tests/comparison/test_until_decided.py, tests/search and tests/sweep/test_ablation.py.
SWEEPERS = (
    "| hydra/sweeper | `-m hydra/sweeper=until_decided seed=auto comparison.max_seeds=30` | supported | seeds are "
    "added in rounds until every group is decided against the baseline; interrupted and resumed to the same "
    "decisions |",
    "| hydra/sweeper | `-m hydra/sweeper=search search.trials=30 search.seeds=2` | supported | one that was killed "
    "has the trials of one that was not, no run twice (one job at a time) |",
    "| ablate | `-m seed=0,1,2 'ablate={dropout: model.dropout=0, norm: model.norm=none}'` | supported | the full runs "
    "and those without each part, ordinary runs; hydra/sweeper=paired and until_decided heed it |",
)
# Tried by a test of its own: a clock cannot be the same twice.
OTHER = {
    "max_time": "ends resumably: interrupted, exit 4; the same command with a longer one resumes",
    "Timer": "as max_time",
}
# What the stress found, from its output; not made by a test.
STRESS = (
    "## Real kills",
    "",
    "`python scripts/stress_resume.py --rows --kills 200` kills runs of the ten hardest rows with SIGKILL at random",
    "moments (three epochs of twelve steps, a state every five steps) and resumes them until they finish; it takes",
    "further overrides. Compared with the uninterrupted run: weights, metrics, history, confusion matrix and every",
    "logged event with its bytes. All 39 runs were identical:",
    "",
    "| case | kills | runs | most in one run | identical |",
    "|---|---:|---:|---:|---:|",
    "| accumulation | 20 | 4 | 8 | 4 of 4 |",
    "| max_steps, never reached | 20 | 3 | 8 | 3 of 3 |",
    "| max_steps, reached in mid-epoch | 20 | 4 | 8 | 4 of 4 |",
    "| validation twice an epoch | 20 | 4 | 7 | 4 of 4 |",
    "| validation every second epoch, plateau | 20 | 3 | 8 | 3 of 3 |",
    "| EMA | 20 | 5 | 8 | 5 of 5 |",
    "| SWA | 20 | 5 | 8 | 5 of 5 |",
    "| accumulation by epoch | 20 | 3 | 8 | 3 of 3 |",
    "| bf16-mixed, clipped | 20 | 5 | 8 | 5 of 5 |",
    "| two workers | 20 | 3 | 8 | 3 of 3 |",
    "",
    "With `--kills 60 --seed 1`, later: 60 kills in 16 runs, 16 of 16 identical.",
)
ROWS = (*SUPPORTED, *REFUSED)
# Callbacks that act outside training, or are bases of others.
NO_PART = {
    "Callback": "base class",
    "Checkpoint": "base class",
    "BaseFinetuning": "base class",
    "BasePredictionWriter": "base class",
    "ProgressBar": "base class",
    "SpikeDetection": "base class",
    "ThroughputMonitor": "needs a function, which cannot be named in a config",
    "BasePruningMethod": "base class",
}


def page() -> str:
    """The page as Markdown."""
    lines = [
        "# Options of Lightning's Trainer and its callbacks",
        "",
        "Supported: a run that is killed in mid-epoch and resumed ends as the uninterrupted one (weights, metrics,",
        "history, logged curves), and its record says what was done. Refused: one line, exit code 2, before training.",
        "Each row is tried by `python -m pytest -m slow tests/options`, with Lightning's own loop too: a run takes",
        "[many steps at once](performance.md#many-steps-at-once) where nothing is asked in between, to the same",
        "bits. This page is written by `python tests/options/rows.py`.",
        "",
        "| option | tried with | | |",
        "|---|---|---|---|",
    ]
    for row in ROWS:
        tried = " ".join(f"`{text}`" for text in row.overrides) or "default"
        lines.append(f"| {row.option} | {tried} | {'supported' if row.supported else 'refused'} | {row.note} |")
    lines += [f"| {name} | `+trainer.max_time=…` | supported | {note} |" for name, note in OTHER.items()]
    lines += SWEEPERS
    lines += ["", "Left out: " + "; ".join(f"{name} ({why})" for name, why in NO_PART.items()) + "."]
    lines += ["", *STRESS]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
