"""The ten rows of docs/options.md that are hardest to resume; `stress_resume.py --rows` kills each of them."""

from __future__ import annotations

_EXTRA = "+callbacks.extra._target_=pytorch_lightning.callbacks."

HARDEST: dict[str, tuple[str, ...]] = {
    "accumulation": ("+trainer.accumulate_grad_batches=4",),
    "max_steps, never reached": ("+trainer.max_steps=1000",),
    "max_steps, reached in mid-epoch": ("+trainer.max_steps=10",),
    "validation twice an epoch": ("+trainer.val_check_interval=0.5",),
    "validation every second epoch, plateau": ("+trainer.check_val_every_n_epoch=2", "scheduler=plateau"),
    "EMA": (f"{_EXTRA}EMAWeightAveraging", "+callbacks.extra.decay=0.9"),
    "SWA": (
        f"{_EXTRA}StochasticWeightAveraging",
        "+callbacks.extra.swa_lrs=0.01",
        "+callbacks.extra.swa_epoch_start=1",
    ),
    "accumulation by epoch": (f"{_EXTRA}GradientAccumulationScheduler", "+callbacks.extra.scheduling={0:2,1:3}"),
    "bf16-mixed, clipped": ("+trainer.gradient_clip_val=0.5", "trainer.precision=bf16-mixed"),
    "two workers": ("data.num_workers=2",),
}
