"""When an exported file is the net: differences, classes, ties, answers that are no numbers, and what a card keeps."""

from __future__ import annotations

import hashlib

import pytest
import torch

from vision_baselines.errors import ConfigError, StorageError
from vision_baselines.evaluation.card_file import as_section, other_files, read_card, signed
from vision_baselines.evaluation.export_check import agreement, latency_s

IMAGES = torch.arange(48, dtype=torch.uint8).view(12, 1, 2, 2)


def net(images):
    """Three classes, by the first pixel."""
    return torch.stack([images[:, 0, 0, 0].float(), torch.full((len(images),), 20.0), torch.zeros(len(images))], 1) / 48


def compared(file, ours=net, **options):
    given = {"classes": 3, "batch_size": 5, "tolerance": 1e-4} | options
    return agreement(ours, file, IMAGES, torch.zeros(12, dtype=torch.int64), **given)


def test_the_same_answers_are_counted_and_the_files_own_accuracy_with_them():
    found = compared(net)
    assert (found.images, found.same_class, found.ties, found.largest_difference) == (12, 12, 0, 0.0)
    assert found.accuracy == pytest.approx(7 / 12)  # pixels 20, 24 … 44 are class 0, the tie among them
    assert not found.depends_on_batch


def test_rounding_is_accepted_and_what_is_more_is_not():
    assert compared(lambda images: net(images) + 5e-5).largest_difference == pytest.approx(5e-5, rel=1e-3)
    with pytest.raises(StorageError, match=r"differ by up to 0.0002 .*same for 12 of 12 test images; nothing was"):
        compared(lambda images: net(images) + 2e-4)


def test_a_tie_may_go_either_way_and_another_class_may_not():
    def last_of_equals(images):
        return net(images) + torch.tensor([0.0, 1e-6, 0.0])

    found = compared(last_of_equals)  # pixel 20 is a tie of classes 0 and 1
    assert (found.same_class, found.ties) == (11, 1)
    with pytest.raises(StorageError, match="same for 11 of 12"):
        compared(lambda images: torch.where(images[:, :, 0, 0] == 24, net(images)[:, [1, 0, 2]], net(images)))


def test_a_difference_in_one_picture_alone_or_in_the_last_smaller_batch_is_found():
    for odd in (1, 2):
        with pytest.raises(StorageError, match="is not the net"):
            compared(lambda images, odd=odd: net(images) + 0.01 * (len(images) == odd))


@pytest.mark.parametrize("broken", [float("nan"), float("inf")])
def test_answers_that_are_no_numbers_are_refused_on_either_side(broken):
    def breaks(images):
        return torch.where(images[:, :, 0, 0] == 8, broken, net(images))

    with pytest.raises(ConfigError, match="its answers for 1 test image are not numbers"):
        compared(net, ours=breaks)
    with pytest.raises(StorageError, match="is not the net"):
        compared(breaks)


def test_a_net_that_draws_is_refused_and_one_that_looks_at_the_batch_is_said_to():
    with pytest.raises(ConfigError, match="otherwise each time"):
        compared(net, ours=lambda images: net(images) + torch.rand(1))

    def of_batch(images):
        return net(images) + images.float().mean()

    assert compared(of_batch, ours=of_batch).depends_on_batch


def test_answers_of_another_shape_or_type_are_refused():
    for file in (lambda images: net(images)[:, :2], lambda images: net(images).double()):
        with pytest.raises(StorageError, match=r"expected \(12, 3\) float32"):
            compared(file)


def test_the_median_time_is_of_calls_that_were_made():
    calls = []
    found = latency_s({"a": lambda images: calls.append("a"), "b": lambda images: calls.append("b")}, IMAGES)
    assert calls == ["a", "b"] * (len(calls) // 2)
    assert found.keys() == {"a", "b"}
    assert min(found.values()) >= 0


def test_a_card_keeps_what_it_says_of_files_that_are_as_they_were(tmp_path):
    path, target = tmp_path / "net.md", tmp_path / "net.onnx"
    (tmp_path / "net.pt2").write_bytes(b"whole")
    section = as_section("net.pt2", hashlib.sha256(b"whole").hexdigest(), "w" * 64, "about it\n")
    path.write_text(signed(f"# Card\n\n{section}\nrest\n"))

    assert other_files(path, target, "w" * 64) == [section]
    assert other_files(path, tmp_path / "net.pt2", "w" * 64) == []
    with pytest.raises(ConfigError, match=r"is the model card of net\.pt2, which holds another net"):
        other_files(path, target, "v" * 64)
    assert other_files(path, target, "v" * 64, force=True) == []
    (tmp_path / "net.pt2").write_bytes(b"changed")
    assert other_files(path, target, "w" * 64) == []
    (tmp_path / "net.pt2").unlink()
    assert other_files(path, target, "w" * 64) == []


@pytest.mark.parametrize("content", [b"", b"# notes\n", b"\xff\xfe", signed("a\n").encode() + b"b\n"])
def test_what_export_did_not_write_or_somebody_changed_is_no_card(content, tmp_path):
    (tmp_path / "net.md").write_bytes(content)
    assert read_card(tmp_path / "net.md") is None
    (tmp_path / "net.md").write_text(signed("a\n"))
    assert read_card(tmp_path / "net.md") == "a\n"
