"""`trace=true`: what it keeps, that it changes no bit of a run, and what is said of a damaged file."""

from __future__ import annotations

import io
import os
from types import SimpleNamespace

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch import nn

from vision_baselines.analysis.operations import OperationRecorder
from vision_baselines.cli.reproduce import main
from vision_baselines.errors import DataError
from vision_baselines.runs.trace import (
    QUANTITIES,
    TRACE_FILE,
    Operation,
    Row,
    Trace,
    first_difference,
    first_operation,
    read_trace,
    trace_of,
)
from vision_baselines.training.trace import hash_of

slow = [pytest.mark.slow]


def row(epoch, batch, **changes):
    hashes = {name: index + 2**63 for index, name in enumerate(QUANTITIES)} | changes
    return Row(epoch, batch, batch, hashes, [False, True, False, False], 1, 0.1)


def trace(*rows, operations=()):
    return Trace({one.where: one for one in rows}, (0, 0), list(operations))


CONV = Operation("forward", "conv (Conv2d)", "aten.convolution", 1, 2)
DRAW = Operation("forward", "drop (Dropout)", "aten.rand", 3, 4, seeded=True)


def test_a_trace_is_read_as_it_was_written_and_the_same_one_gives_the_same_bytes(tmp_path):
    written = trace(row(0, 0), row(0, 1, loss=7), operations=[CONV, DRAW])
    (tmp_path / TRACE_FILE).write_bytes(written.to_bytes())
    found = read_trace(tmp_path)
    assert found == written
    assert found.to_bytes() == written.to_bytes()
    assert trace_of(Trace().to_bytes()) == Trace()


def test_a_run_without_a_trace_has_none(tmp_path):
    assert read_trace(tmp_path) is None


@pytest.mark.parametrize("name", QUANTITIES)
def test_the_first_row_and_the_first_quantity_in_it_that_differ_are_found(name):
    later = dict.fromkeys(list(QUANTITIES)[list(QUANTITIES).index(name) :], 5)
    before, after = trace(row(0, 0), row(0, 1), row(0, 2)), trace(row(0, 0), row(0, 1, **later), row(0, 2, loss=1))
    one, other, quantity = first_difference(before, after)
    assert (one.where, other.where, quantity) == ((0, 1), (0, 1), name)
    assert first_difference(before, before) is None


def test_a_trace_that_begins_later_is_compared_where_both_are():
    before, after = trace(row(0, 2), row(0, 3, loss=1)), trace(*(row(0, batch) for batch in range(4)))
    assert first_difference(before, after)[0].where == (0, 3)


@pytest.mark.parametrize(
    ("changed", "expected", "how"),
    [
        ([CONV], DRAW, "path"),
        ([CONV, DRAW._replace(name="aten.add")], DRAW, "path"),
        ([CONV, CONV, DRAW], CONV, "path"),
        ([CONV._replace(outputs=0), DRAW], CONV, "result"),
        ([CONV._replace(inputs=0, outputs=0), DRAW], CONV, "argument"),
        ([CONV, DRAW._replace(outputs=0)], DRAW, "draw"),
    ],
)
def test_the_first_operation_that_differs_is_found_and_how(changed, expected, how):
    assert first_operation([CONV, DRAW], changed) == (expected, how)
    assert first_operation(changed, changed) is None


def repacked(change):
    with np.load(io.BytesIO(trace(row(0, 0), operations=[CONV]).to_bytes())) as archive:
        arrays = dict(archive)
    change(arrays)
    content = io.BytesIO()
    np.savez(content, **arrays)
    return content.getvalue()


DAMAGED = {
    "empty": lambda good: b"",
    "text": lambda good: b"step,loss\n0,1\n",
    "cut off": lambda good: good[: len(good) // 2],
    "a bit flipped": lambda good: good[:300] + bytes([good[300] ^ 255]) + good[301:],
    "one array": lambda good: (np.save(file := io.BytesIO(), np.zeros(3)), file.getvalue())[1],
    "pickled objects": lambda good: repacked(lambda arrays: arrays.update(lr=np.array([{}], dtype=object))),
    "a later version": lambda good: repacked(lambda arrays: arrays.update(version=np.int64(99))),
    "a version that is text": lambda good: repacked(lambda arrays: arrays.update(version=np.array("one"))),
    "a part missing": lambda good: repacked(lambda arrays: arrays.pop("hashes")),
    "other quantities": lambda good: repacked(lambda arrays: arrays.update(hashes=np.zeros((1, 3), np.uint64))),
    "other lengths": lambda good: repacked(lambda arrays: arrays.update(lr=np.zeros(5))),
    "hashes as numbers": lambda good: repacked(lambda arrays: arrays.update(hashes=np.zeros((1, len(QUANTITIES))))),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_a_damaged_trace_is_refused_in_one_line(tmp_path, kind):
    (tmp_path / TRACE_FILE).write_bytes(DAMAGED[kind](trace(row(0, 0), operations=[CONV]).to_bytes()))
    with pytest.raises(DataError, match=r"trace\.npz cannot be read as a trace: .*remove it") as error:
        read_trace(tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir], ids=["fifo", "folder"])
def test_what_is_no_file_is_no_trace(tmp_path, make):
    make(tmp_path / TRACE_FILE)
    with pytest.raises(DataError, match=r"trace\.npz cannot be read as a trace"):
        read_trace(tmp_path)


class Awkward(nn.Module):
    """In-place and shared modules, a container that returns what its last part did, an operation of its own."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)
        self.block = nn.Sequential(nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2))
        self.out = nn.Linear(2 * 16, 3)

    def forward(self, x):
        x = self.relu(self.conv(x))
        return self.out(self.relu(self.block(x) + x).flatten(1))


def recorded_operations(net):
    recorder = OperationRecorder(net, hash_of)
    images, target = torch.randn(4, 1, 4, 4, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, 2, 0])
    with recorder:
        loss = nn.functional.cross_entropy(net(images), target)
        recorder.phase = "backward"
        loss.backward()
    recorder.close()
    return recorder.done, loss


def test_operations_are_given_their_module_in_both_passes_also_in_place_and_shared():
    net = Awkward()
    done, _ = recorded_operations(net)
    places = {(phase, name): module for phase, module, name, *_ in done}
    assert places["forward", "aten.native_batch_norm"] == places["backward", "aten.native_batch_norm_backward"]
    assert places["forward", "aten.native_batch_norm"] == "block.1 (BatchNorm2d)"
    assert places["forward", "aten.relu_"] == places["backward", "aten.threshold_backward"] == "relu (ReLU)"
    assert places["forward", "aten.nll_loss_forward"] == places["backward", "aten.nll_loss_backward"] == ""
    assert places["backward", "aten.mm"] == "out (Linear)"
    convolutions = [module for phase, module, name, *_ in done if name == "aten.convolution_backward"]
    assert convolutions == ["block.0 (Conv2d)", "conv (Conv2d)"]
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in net.modules())


def test_recording_operations_changes_no_gradient_and_gives_the_same_record_twice():
    torch.manual_seed(0)
    plain, traced = Awkward(), Awkward()
    traced.load_state_dict(plain.state_dict())
    images, target = torch.randn(4, 1, 4, 4, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, 2, 0])
    nn.functional.cross_entropy(plain(images), target).backward()
    first, _ = recorded_operations(traced)
    for one, other in zip(plain.parameters(), traced.parameters(), strict=True):
        assert torch.equal(one.grad, other.grad)
    again = Awkward()
    again.load_state_dict(plain.state_dict() | {"block.1.num_batches_tracked": torch.tensor(0)})
    again.block[1].reset_running_stats()
    assert [done[:3] for done in recorded_operations(again)[0]] == [done[:3] for done in first]


def test_memory_that_was_never_written_is_no_argument():
    class Drawn(nn.Module):
        def forward(self, x):
            return x * torch.empty(10).view(2, 5).fill_(2.0)

    done = []
    for filler in (1.0, 2.0):
        held = [torch.full((10,), filler) for _ in range(100)]
        del held  # what `empty` finds
        recorder = OperationRecorder(net := Drawn(), hash_of)
        with recorder:
            net(torch.ones(2, 5))
        done.append(recorder.done)
    assert done[0] == done[1]


def test_tensors_of_every_kind_are_hashed_by_their_bytes():
    for dtype in (torch.float32, torch.bfloat16, torch.float16, torch.float64, torch.bool, torch.complex64):
        tensor = torch.arange(12).to(dtype).reshape(3, 4)
        assert hash_of([tensor]) == hash_of([tensor.t().contiguous().t()])
        assert hash_of([tensor]) != hash_of([tensor[:, :3]])
    assert hash_of([torch.tensor(0.0)]) != hash_of([torch.tensor(-0.0)])
    assert hash_of([1.0]) != hash_of([2.0])


RUNS = [
    pytest.param((), id="plain", marks=[pytest.mark.slow, pytest.mark.ci]),
    pytest.param(("+trainer.accumulate_grad_batches=4", "+trainer.gradient_clip_val=0.1"), id="accumulate", marks=slow),
    pytest.param(("trainer.precision=bf16-mixed",), id="bf16-mixed", marks=slow),
    pytest.param(("trainer.precision=16-mixed",), id="16-mixed", marks=slow),
    pytest.param(("trainer.precision=bf16-true",), id="bf16-true", marks=slow),
    pytest.param(("trainer.precision=64-true",), id="64-true", marks=slow),
    pytest.param(("optimizer=sgd", "scheduler=one_cycle", "augment=shift"), id="schedule", marks=slow),
    pytest.param(("data.num_workers=1",), id="workers", marks=slow),
]


@pytest.mark.parametrize("overrides", RUNS)
@pytest.mark.filterwarnings("ignore::UserWarning:pytorch_lightning")
def test_a_trace_changes_no_bit_of_a_run(run_tiny, tmp_path, overrides):
    plain, traced = run_tiny("plain", *overrides), run_tiny("traced", "trace=true", *overrides)
    assert traced.weights_sha256 == plain.weights_sha256
    assert traced.final_weights_sha256 == plain.final_weights_sha256
    assert traced.metrics == plain.metrics
    assert traced.fingerprint == plain.fingerprint
    assert TRACE_FILE in traced.files
    found = read_trace(tmp_path / "outputs" / "traced")
    assert list(found.rows) == [(epoch, batch) for epoch in range(2) for batch in range(6)]
    assert {done.phase for done in found.operations} >= {"before", "batch", "forward", "backward", "after"}


class Pulled(BaseException):
    """Stands for a kill."""


class Pull(pl.Callback):
    """Ends training after so many batches."""

    def __init__(self, after):
        self.left = after

    def on_train_batch_end(self, *_):
        self.left -= 1
        if not self.left:
            raise Pulled


@pytest.mark.slow
@pytest.mark.parametrize("after", [pytest.param(8, marks=pytest.mark.ci), 1, 6])
def test_a_resumed_run_keeps_the_trace_of_an_uninterrupted_one(run_tiny, with_callback, tmp_path, after):
    overrides = ("trace=true", "checkpoint_every_n_steps=3")
    run_tiny("whole", *overrides)
    with_callback(Pull(after))
    with pytest.raises(Pulled):
        run_tiny("pulled", *overrides)
    with_callback()
    run_tiny("pulled", *overrides)
    whole, pulled = ((tmp_path / "outputs" / name / TRACE_FILE).read_bytes() for name in ("whole", "pulled"))
    assert trace_of(pulled) == trace_of(whole)
    assert pulled == whole


@pytest.mark.slow
def test_the_command_answers_0_where_nothing_differs_and_4_where_something_does(run_tiny, called, tmp_path):
    run_tiny("job", "trace=true", "trainer.max_epochs=1")
    folder = tmp_path / "outputs" / "job"
    files = sorted(folder.rglob("*"))
    code, out, _ = called(main)(folder, "--bisect")
    assert code == 0
    assert "all 6 training batches" in out
    code, out, err = called(main)(folder, "--bisect", "classifier.optimizer.lr=0.1")
    assert code == 4
    assert "likely  another learning rate: 0.001 ≠ 0.1 (classifier.optimizer.lr: 0.001 → 0.1)" in out
    assert err.splitlines()[-1].startswith("error: job does not give the same bits: the first to differ is")
    assert sorted(folder.rglob("*")) == files
    (folder / TRACE_FILE).write_bytes(b"PK")
    code, _, err = called(main)(folder, "--bisect")
    assert code == 3
    assert len(err.strip().splitlines()) == 1


@pytest.mark.parametrize("words", [["--baselines"], ["--expect", "x"], []])
def test_what_bisects_no_run_is_refused(called, words):
    code, _, err = called(main)("--bisect", *words)
    assert code == 2
    assert "finished run" in err


@pytest.mark.parametrize("case", ["override", "trace"])
def test_what_cannot_be_bisected_is_refused_before_it_is_said_to_be_trained(tmp_path, monkeypatch, capsys, case):
    record = SimpleNamespace(config={"classifier": {"optimizer": {"lr": 0.1}}}, timings=SimpleNamespace(fit_s=1))
    monkeypatch.setattr("vision_baselines.runs.record.finished_record", lambda folder: record)
    words = ["optimizer.lr=0.01"] if case == "override" else []
    if case == "trace":
        (tmp_path / TRACE_FILE).write_bytes(b"nothing")
    with pytest.raises(SystemExit) as ended:
        main([str(tmp_path), "--bisect", *words])
    shown = capsys.readouterr()
    assert ended.value.code == (2 if case == "override" else 3)
    assert shown.out == ""
    assert shown.err.startswith("error: ")
