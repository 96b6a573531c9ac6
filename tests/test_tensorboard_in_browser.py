"""What a person sees who opens a sweep in TensorBoard: its tabs, in a real browser."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

pytestmark = pytest.mark.browser

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)


@pytest.fixture(scope="module")
def server(root, environment, tmp_path_factory):
    """TensorBoard over a sweep of four small jobs, two nets of two seeds each, on loopback."""
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    outputs = tmp_path_factory.mktemp("outputs")
    sweep = [f"paths.output_dir={outputs}", "name=sweep", "model=cnn,fc", "seed=0,1", "trainer.max_epochs=1"]
    subprocess.run(
        [sys.executable, str(root / "scripts" / "train.py"), "-m", *sweep],
        check=True,
        env=environment,
        capture_output=True,
    )
    folder = outputs / "sweep"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(folder), "--host", "127.0.0.1"]
    process = subprocess.Popen([*command, "--port", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_for(f"{address}/data/plugin/scalars/tags", "model=fc,seed=1")
        yield address
    finally:
        process.terminate()
        process.wait(timeout=20)


def _wait_for(address, text, limit_s=60):
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(address, timeout=5) as answer:
                if text in answer.read().decode():
                    return
        except OSError:
            pass
        time.sleep(0.3)
    pytest.fail(f"TensorBoard did not show {text!r} within {limit_s} s")


@pytest.fixture(scope="module")
def browser(server):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS.split())
        yield opened
        opened.close()


@pytest.fixture
def tab(browser, server):
    page = browser.new_page(viewport={"width": 1600, "height": 1000})

    def show(name):
        page.goto(f"{server}/#{name}")
        return page

    yield show
    page.close()


@pytest.mark.slow
def test_the_hparams_tab_has_a_row_for_every_group_with_its_accuracy_and_size(tab):
    page = tab("hparams")
    page.get_by_text("test accuracy").first.wait_for(timeout=30_000)
    for shown in ("cnn", "fc", "validation accuracy", "parameters", "seconds"):
        page.get_by_text(shown, exact=True).first.wait_for()


@pytest.mark.slow
def test_the_scalars_tab_lists_the_runs_and_the_metrics_by_their_names(tab):
    page = tab("timeseries")
    for shown in ("model=cnn,seed=0", "model=fc,seed=1"):
        page.get_by_text(shown).first.wait_for(timeout=30_000)
    for shown in ("train", "val", "test", "parameters"):
        page.get_by_text(shown, exact=True).first.wait_for(state="attached")


@pytest.mark.slow
def test_the_images_tab_shows_the_filters(tab):
    page = tab("images&tagFilter=filters")  # of many tags the later ones are folded
    page.get_by_text("filters/first_layer").first.wait_for(timeout=30_000)
    picture = page.locator("img[src*='individualImage'], img[src*='images']").first
    picture.wait_for(timeout=30_000)
    page.wait_for_function("image => image.complete && image.naturalWidth > 100", arg=picture.element_handle())


@pytest.mark.slow
def test_the_text_tab_shows_the_table_of_parameters(tab):
    page = tab("text")
    page.get_by_text("receptive field").first.wait_for(timeout=30_000)
    page.get_by_text("Conv2d").first.wait_for()
