"""A preview builds what differs once, in a process that has imported torch where there is one."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from vision_baselines.config.compose import composed_run
from vision_baselines.errors import ConfigError
from vision_baselines.jobs.job import packed
from vision_baselines.runs.resumption import Action
from vision_baselines.sweep.preview import show
from vision_baselines.sweep.sizes_found import Sizes

ROOT = Path(__file__).parents[2]


def jobs(folder, *differences):
    """Plans, as far as a preview looks at them, and packed configs."""
    for number, words in enumerate(differences):
        cfg = composed_run(list(words), folder)
        decision = SimpleNamespace(action=Action.START, files_changed=False)
        yield SimpleNamespace(resolved=cfg, folder=Path(f"job{number}"), decision=decision), packed(cfg)


def test_jobs_that_differ_in_their_seed_alone_are_built_once_and_elsewhere(tmp_path, capsys, caplog):
    asked = []

    def ask(function, nets, data):
        asked.append((len(nets), len(data)))
        said = [logging.LogRecord("vision_baselines.data", logging.WARNING, "", 0, "far off", None, None)]
        return Sizes([1_000, 2_000], [640], said=said)

    differences = [(f"model={net}", f"seed={seed}") for net in ("fc", "cnn") for seed in range(3)]
    show(jobs(tmp_path, *differences), ask)
    assert asked == [(2, 1)]
    rows = capsys.readouterr().out.splitlines()[1:]
    assert [row.split()[1:4] for row in rows] == [["1,000", "15", "10"]] * 3 + [["2,000", "15", "10"]] * 3
    assert caplog.messages == ["far off"]


def test_without_an_answer_what_is_asked_is_found_here(tmp_path, capsys, caplog):
    with caplog.at_level(logging.INFO):
        show(jobs(tmp_path, ["model=fc", "model.hidden_features=[7]"], ["model=fc"]))
    rows = capsys.readouterr().out.splitlines()[1:]
    assert [row.split()[1:4] for row in rows] == [
        [f"{256 * 7 + 7 + 7 * 10 + 10:,}", "15", "20"],
        ["265,482", "15", "20"],
    ]
    assert sum("data: train 1,257" in message for message in caplog.messages) == 1


@pytest.mark.few(1)
@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ("data.batch_size=5000", "has only 1257 images"),
        ("data.mean=[0.1,0.2]", r"data\.mean"),
        ("model.hidden_features=[0]", "hidden_features"),
        ("data.train_fraction=0.01", "data.train_fraction larger than"),
    ],
)
def test_what_cannot_be_built_is_refused_as_its_run_would_be(wrong, says, tmp_path):
    fine = ["model=fc"]
    for place, words in enumerate(([[*fine, wrong], fine], [fine, [*fine, wrong]])):
        with pytest.raises(ConfigError, match=rf"^job{place}: .*{says}"):
            show(jobs(tmp_path, *words))
    with pytest.raises(ConfigError, match=rf"^(?!job).*{says}"):
        show(jobs(tmp_path, [*fine, wrong]))


def test_a_refusal_of_the_answer_is_raised(tmp_path):
    with pytest.raises(ConfigError, match="no such net"):
        show(jobs(tmp_path, ["model=fc"]), lambda *_: Sizes(refusal=ConfigError("no such net")))


@pytest.mark.slow
def test_the_process_of_a_preview_imports_no_torch(tmp_path):
    script = tmp_path / "train.py"
    script.write_text(
        "import atexit, sys\n"
        "if __name__ == '__main__':\n"
        "    atexit.register(lambda: print('torch' in sys.modules, 'pytorch_lightning' in sys.modules))\n"
        "    from vision_baselines.cli.start import main\n"
        "    main('vision_baselines.cli.train')\n"
    )
    words = ["-m", "name=p", "model=fc,cnn", "seed=0,1", f"paths.output_dir={tmp_path}", "preview=true"]
    done = subprocess.run([sys.executable, script, *words], cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("to be trained") == 4
    assert done.stdout.splitlines()[-1] == "False False"
