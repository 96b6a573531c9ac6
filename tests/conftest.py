"""Shared by all tests: configs composed as the command line composes them, tiny data, a run in this process."""

from __future__ import annotations

import functools
import gc
import io
import logging
import os
import pickle
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import lru_cache, partial
from pathlib import Path
from typing import Any
from unittest import mock

import omegaconf
import pytest
from hydra._internal import defaults_list
from hypothesis import HealthCheck, settings
from omegaconf import OmegaConf, grammar_parser
from tests.command_server import CommandServer

import vision_baselines  # noqa: F401  # first of all: it lets torchvision be imported beside any torch
from vision_baselines.config import compose as compose_module

gc.disable()  # while libraries are imported and tests collected

_compose_anew = compose_module.composed
_load_anew = OmegaConf.load
_choices_anew = defaults_list._create_interpolation_map

# Seconds are a machine's, and no fault of an example; where one answer decides, the same examples are tried each time.
for _profile, _repeatable in (("search", False), ("repeatable", True)):
    settings.register_profile(
        _profile, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=_repeatable
    )
settings.load_profile(os.environ.get("TEST_EXAMPLES", "search"))

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell leaves it for what it starts in the background
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Of a terminal that a test does not print to; processes of tests side by side are given one.
os.environ.pop("COLUMNS", None)

ROOT = Path(__file__).resolve().parents[1]
CONF = ROOT / "conf"

# 48 training, 12 validation and 20 test images of 1×8×8: six steps an epoch at a batch size of 8.
TINY_DATA = [
    "data=noise",
    "++data.source.train_size=60",
    "++data.source.val_size=12",
    "++data.source.test_size=20",
    "++data.source.image_shape=[1,8,8]",
    "data.image_shape=[1,8,8]",
    "data.batch_size=8",
]
TINY_NET = ["model=cnn", "model.channels=[2,3]", "model.hidden_features=4"]
# Where the runs of this process train: TEST_ACCELERATOR=gpu tries the options on a CUDA device.
ACCELERATOR = [f"trainer.accelerator={name}" for name in (os.environ.get("TEST_ACCELERATOR"),) if name]
# What takes most of a tiny run's time and changes nothing in it.
PLAIN = ["callbacks.learning_rate=null", "callbacks.filters=null", "callbacks.parameters=null", "logger=none"]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Which variants of a test run where.

    Of ``@pytest.mark.few(n)`` the first n are in the default suite, the others slow ones of which CI runs each second;
    of ``@pytest.mark.ci(every=n)`` CI runs each nth.
    """
    seen: Counter[str] = Counter()
    kept, left = [], []
    for item in items:
        name = item.nodeid.partition("[")[0]
        few = item.get_closest_marker("few")
        if few and seen[name] >= few.args[0] and not item.get_closest_marker("slow"):
            item.add_marker("slow")
            item.add_marker(pytest.mark.ci(every=2))
        every = max((mark.kwargs.get("every", 1) for mark in item.iter_markers("ci")), default=1)
        (left if seen[name] % every else kept).append(item)
        seen[name] += 1
    if "ci" in re.findall(r"\w+", config.option.markexpr):
        config.hook.pytest_deselected(items=left)
        items[:] = kept


def pytest_collection_finish() -> None:
    """What is there by now stays: the garbage collector's looks at it were a tenth of the time."""
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)
    gc.enable()


@pytest.fixture(autouse=True)
def loggers_as_they_were() -> Iterator[None]:
    """What Hydra adds to the root logger writes to this test's captured output, which is closed when it ends.

    Levels that a command sets, or that a run in this process needs, are none of the next test's.
    """
    root = logging.getLogger()
    before, levels = list(root.handlers), {logger: logger.level for logger in _own_loggers()}
    yield
    for handler in list(root.handlers):
        if type(handler) is logging.StreamHandler and handler not in before:
            root.removeHandler(handler)
    for logger in _own_loggers():
        if logger.level != (level := levels.get(logger, logging.NOTSET)):  # to set one is felt: it looks at all loggers
            logger.setLevel(level)


def _own_loggers() -> list[logging.Logger]:
    names = [name for name in list(logging.root.manager.loggerDict) if name.startswith("vision_baselines")]
    return [logging.getLogger(), *map(logging.getLogger, names)]


@pytest.fixture(scope="module")
def selected(request: pytest.FixtureRequest) -> Callable[..., list[Any]]:
    """``selected(name, values)``: those of the values that a selected test of this module is given by that name.

    For what is made for all of them at once; without such a test it is all.
    """

    def found(name: str, values: Iterable[Any]) -> list[Any]:
        of_module = [item for item in request.session.items if item.path == request.path and hasattr(item, "callspec")]
        given = {item.callspec.params[name] for item in of_module if name in item.callspec.params}
        return [value for value in values if value in given] or list(values)

    return found


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def tiny() -> list[str]:
    """Overrides that make a run of two epochs on 48 images."""
    return [*TINY_DATA, *TINY_NET, "trainer.max_epochs=2"]


@pytest.fixture(scope="session")
def tiniest() -> list[str]:
    """Overrides that make a run of one epoch on 48 images, of which nothing is drawn or logged."""
    return [*TINY_DATA, *TINY_NET, *PLAIN, "trainer.max_epochs=1"]


@pytest.fixture(scope="session")
def tiny_beside(tiny: list[str]) -> Callable[..., list[str]]:
    """``tiny_beside(*overrides)``: `tiny`, without its net where the overrides choose another one."""

    def of(*overrides: str) -> list[str]:
        has_net = any(text.startswith("model=") for text in overrides)
        return [text for text in tiny if not (has_net and text in TINY_NET)]

    return of


@pytest.fixture(scope="session", autouse=True)
def nothing_is_forced_to_the_disk() -> Iterator[None]:
    """Only a power failure could tell; a test of what is forced when sets a function of its own."""
    with mock.patch.object(os, "fsync", return_value=None):
        yield


@contextmanager
def hydra_as_it_was() -> Iterator[None]:
    """What is told to Hydra inside is forgotten after."""
    from hydra.core.singleton import Singleton

    before = dict(Singleton._instances)
    try:
        yield
    finally:
        Singleton._instances.clear()
        Singleton._instances.update(before)


@lru_cache(maxsize=512)
def _pickled_file(text: str) -> bytes:
    return pickle.dumps(_load_anew(io.StringIO(text)))


def _load_once(file: Any) -> Any:
    """Of the same text the same, without parsing it again: a third of what composing takes."""
    if not hasattr(file, "read"):
        return _load_anew(file)
    start = file.tell()
    try:
        return pickle.loads(_pickled_file(file.read()))
    except Exception:  # an error names its file
        file.seek(start)
        return _load_anew(file)


def _choices_where_named(overrides: Any, defaults_list: list[Any], self_added: bool) -> Any:
    """Hydra makes a config of all choices for each file; few have a default that names another's, which it is for."""
    if any("${" in repr(default) for default in defaults_list):
        return _choices_anew(overrides, defaults_list, self_added)
    return OmegaConf.create()


@pytest.fixture(scope="session", autouse=True)
def what_is_composed_is_parsed_once() -> Iterator[None]:
    """The same few files of conf/ are composed again and again, with the same interpolations."""
    parse_once = lru_cache(maxsize=4096)(grammar_parser.parse)
    with ExitStack() as patches:
        for place, name, function in (
            (OmegaConf, "load", staticmethod(_load_once)),
            (omegaconf.base, "parse", parse_once),
            (omegaconf._utils, "parse", parse_once),
            (defaults_list, "_create_interpolation_map", _choices_where_named),
        ):
            patches.enter_context(mock.patch.object(place, name, function))
        yield


@lru_cache(maxsize=256)
def _pickled(overrides: tuple[str, ...], extra_dir: Path | None) -> bytes:
    """A composed config: it takes a quarter of a second to make, and many tests ask for the same."""
    return pickle.dumps(_compose_anew(overrides, with_hydra=True))


def _compose_once(overrides: Sequence[str], *, with_hydra: bool) -> Any:
    assert with_hydra
    return pickle.loads(_pickled(tuple(overrides), compose_module.extra_dir.get()))


def composed(*overrides: str, run_dir: Path, name: str = "test") -> Any:
    """The config of one run in `run_dir`, with Hydra's own config set as the command line would set it."""
    with mock.patch.object(compose_module, "composed", _compose_once):
        return compose_module.composed_run(_later_wins([*ACCELERATOR, *overrides]), run_dir, name=name)


@pytest.fixture
def compose(tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """``compose(*overrides, run_dir=…)``: the config of one run."""
    with hydra_as_it_was():
        yield partial(composed, run_dir=tmp_path / "outputs" / "run")


@pytest.fixture(scope="session")
def train_tiny(tiny_beside: Callable[..., list[str]]) -> Callable[..., Any]:
    """``train_tiny(folder, *overrides, pictures=False)``: train on tiny data in this process; gives the record."""

    def run(folder: Path, *overrides: str, pictures: bool = False) -> Any:
        from vision_baselines.training.run import train

        with hydra_as_it_was():
            words = [*tiny_beside(*overrides), *([] if pictures else PLAIN), *overrides]
            return train(composed(*words, run_dir=folder))

    return run


@pytest.fixture
def run_tiny(train_tiny: Callable[..., Any], tmp_path: Path) -> Callable[..., Any]:
    """``run_tiny(name, *overrides)``: train on tiny data in a folder of that name; gives the record."""
    return lambda name, *overrides, **options: train_tiny(tmp_path / "outputs" / name, *overrides, **options)


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps are taken at once however long they take, for those who count them on a machine that may be busy."""
    monkeypatch.setattr("vision_baselines.steps.loop._LONGEST_S", 1e9)


@pytest.fixture
def with_callback(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], None]:
    """``with_callback(callback)``: runs of this test have it too; without an argument they no longer do."""
    from vision_baselines.training import build

    original = build.callbacks

    def add(*callbacks: Any) -> None:
        monkeypatch.setattr(build, "callbacks", lambda cfg: [*original(cfg), *callbacks])

    return add


@pytest.fixture
def resumed_after(with_callback: Callable[[Any], None]) -> Callable[..., Any]:
    """``resumed_after(step, run, *options)``: what ``run("cut", *options)`` gives after it has crashed at a step."""
    import pytorch_lightning as pl

    def resumed(step: int, run: Callable[..., Any], *options: str) -> Any:
        class Crash(pl.Callback):
            def on_train_batch_end(self, trainer: Any, *rest: Any) -> None:
                if trainer.global_step == step:
                    raise RuntimeError("pulled the plug")

        with_callback(Crash())
        with pytest.raises(RuntimeError, match="plug"):
            run("cut", *options)
        with_callback()
        return run("cut", *options)

    return resumed


@pytest.fixture(scope="session")
def environment() -> dict[str, str]:
    """The environment of a child process: this checkout's packages, one thread, nothing of the caller's settings."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("VISION_BASELINES", "HYDRA"))}
    path = os.pathsep.join(
        [str(ROOT / "src"), str(ROOT / "scripts" / "dev"), *filter(None, [os.environ.get("PYTHONPATH")])]
    )
    return {**kept, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "COLUMNS": "200", "TERM": "dumb"}


@pytest.fixture(scope="session")
def command_server(environment: dict[str, str]) -> Iterator[CommandServer]:
    """What commands are forked from."""
    server = CommandServer(environment)
    yield server
    server.close()


@pytest.fixture(scope="session")
def python(
    environment: dict[str, str], command_server: CommandServer
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """``python(*arguments, cwd=…)``: run Python in a process of its own, with warnings as they come.

    A command of this checkout finds everything imported, but for ``fresh=True``: see `command_server`.
    """

    def run(*arguments: str, cwd: Path | None = None, timeout: float = 300, fresh: bool = False, **env: str) -> Any:
        full = {**environment, **env}
        if not fresh and command_server.takes(arguments, full):
            return command_server.run(arguments, cwd=cwd or "/", env=full, timeout=timeout)
        return subprocess.run(
            [sys.executable, *arguments], cwd=cwd or "/", env=full, capture_output=True, text=True, timeout=timeout
        )

    return run


@pytest.fixture
def cli(
    python: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """``cli(*overrides)``: scripts/train.py in a process of its own, started elsewhere, writing under `tmp_path`."""

    def run(*overrides: str, **options: Any) -> subprocess.CompletedProcess[str]:
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir(exist_ok=True)
        where = f"paths.output_dir={tmp_path / 'outputs'}"
        return python(str(ROOT / "scripts" / "train.py"), where, *overrides, cwd=elsewhere, **options)

    return run


@pytest.fixture(scope="session")
def scalars() -> Callable[[Path], dict[str, list[tuple[int, float]]]]:
    """``scalars(folder)``: every scalar of every event file in a folder, as TensorBoard's own reader sees them."""

    def read(folder: Path) -> dict[str, list[tuple[int, float]]]:
        events = event_accumulator(folder)
        return {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}

    return read


@pytest.fixture(scope="session")
def events() -> Callable[[Path], Any]:
    """``events(folder)``: TensorBoard's `EventAccumulator`, loaded, with nothing left out."""
    return event_accumulator


def event_accumulator(folder: Path) -> Any:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    accumulator = EventAccumulator(
        str(folder), size_guidance=dict.fromkeys(("scalars", "images", "tensors", "histograms"), 0)
    )
    return accumulator.Reload()


def _later_wins(overrides: Sequence[str]) -> list[str]:
    """Hydra refuses a group chosen twice; a test that says otherwise than the tiny defaults is right."""
    chosen = {text.split("=", 1)[0].lstrip("+"): text for text in overrides}
    return list(chosen.values())


CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def opened() -> Iterator[Callable[..., Any]]:
    """``opened(path, **options)``: a page from the disk, all it asked for, and all it complained about."""
    api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    if not Path(CHROMIUM).exists():
        pytest.skip(f"no browser at {CHROMIUM}")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=CHROMIUM_FLAGS)

        def call(path: Path, **options: Any) -> tuple[Any, list[str], list[str]]:
            page = browser.new_page(**options)  # the browser closes it
            requests: list[str] = []
            complaints: list[str] = []
            page.on("request", lambda request: requests.append(request.url))
            page.on("requestfailed", lambda request: complaints.append(request.url))
            page.on("console", lambda message: complaints.append(message.text))
            page.on("pageerror", lambda error: complaints.append(str(error)))
            page.goto(path.as_uri())
            return page, [url for url in requests if not url.startswith("data:")], complaints

        yield call
        browser.close()


@pytest.fixture
def called(capsys):
    """``called(main)(*words)``: exit code, what was printed and what was complained of."""

    def call(main, *words):
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in words])
        out, err = capsys.readouterr()
        return ended.value.code, out, err

    return lambda main: functools.partial(call, main)
