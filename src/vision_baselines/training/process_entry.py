"""One of the other processes of a run: it trains its part of each batch, and neither decides nor writes anything."""

from __future__ import annotations

import json
import logging
import os
import pickle
import signal
import sys
import threading
import traceback
import warnings
from pathlib import Path
from typing import Any


def main() -> None:
    """Read what the first process hands over, and train with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first process hears it, and from the first step on this one too
    # what anything prints goes where errors go; the first process reads the other end of this one
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    handed = pickle.load(sys.stdin.buffer)

    def answer(**words: Any) -> None:
        answers.write(json.dumps(words) + "\n")
        answers.flush()

    code = 1
    try:
        _train(handed, answer)
        code = 0
    except EOFError:
        pass  # the first process has ended before it handed anything over
    except BaseException as error:
        from vision_baselines.jobs.signals import Interrupted

        if isinstance(error, Interrupted):
            code = 0  # agreed with the first process, which saves and says it
        else:
            from vision_baselines.training.process_group import is_lost

            kept = traceback.format_exc()
            answer(error=type(error).__name__, message=str(error), lost=is_lost(error), traceback=kept)
    sys.stderr.flush()
    os._exit(code)  # nothing is left to be written, and torch takes its time to end


def _train(handed: dict[str, Any], answer: Any) -> None:
    warnings.simplefilter("ignore")  # the first process says it
    logging.disable(logging.WARNING)
    from omegaconf import OmegaConf

    from vision_baselines.config.compose import register_resolvers
    from vision_baselines.jobs.signals import StopSignals
    from vision_baselines.probes.probe import Probe
    from vision_baselines.runs import environment
    from vision_baselines.training import build
    from vision_baselines.training.checkpoints import Checkpoints
    from vision_baselines.training.process_group import joined, strategy
    from vision_baselines.training.silent_logger import SilentLogger

    register_resolvers()
    rank, count = handed["rank"], handed["count"]
    start = pickle.load(sys.stdin.buffer)
    threading.Thread(target=_end_with_the_first, daemon=True).start()
    # probes ask the net in the first process, and a progress bar is shown there
    cfg = OmegaConf.create({**handed["config"], "probe": {}})
    with StopSignals() as stop:
        stop.deferring = True
        build.quieten_lightning()
        environment.prepare_process(threads=cfg.threads)
        datamodule = build.datamodule(cfg)
        datamodule.setup()
        environment.seed_process(cfg.seed)
        classifier = build.classifier(cfg)
        build.choose_memory_format(classifier.net, datamodule, classifier.task)
        callbacks = [one for one in build.callbacks(cfg) if not isinstance(one, Probe)]
        trainer = build.trainer(
            cfg,
            callbacks=callbacks,
            loggers=[SilentLogger()],
            strategy=strategy(cfg.trainer, rank),
            datamodule=datamodule,
        )
        build.find_callback(callbacks, Checkpoints).stop = stop
        answer(ready=True)
        cuda = trainer.strategy.root_device.type == "cuda"
        with joined(Path(handed["store"]), rank, count, cuda=cuda):
            trainer.fit(classifier, datamodule=datamodule, ckpt_path=start["ckpt_path"])


def _end_with_the_first() -> None:
    """Its end of the pipe is closed when it is gone, however it went."""
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGKILL)
