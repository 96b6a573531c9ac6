"""Whatever stands in a data file's place: a right result, or a line or two, in bounded time and memory."""

from __future__ import annotations

import functools
import io
import os
import pickle
import resource
import signal
import socket
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from vision_baselines.data.arrays import Npz
from vision_baselines.data.csv_pixels import CsvPixels
from vision_baselines.data.image_folder import ImageFolder
from vision_baselines.data.listing import listing_sha256
from vision_baselines.data.torchvision_source import Cifar10, Mnist
from vision_baselines.errors import DataError, VisionBaselinesError
from vision_baselines.runs.record import read_record
from vision_baselines.storage import checkpoint_file

SECONDS, MEBIBYTES = 20, 900
GREY = np.random.default_rng(0).integers(0, 256, (40, 8, 8), dtype=np.uint8)
LABELS = np.arange(40) % 4


@pytest.fixture(autouse=True)
def bounded(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A test that hangs or takes much memory fails."""

    def too_long(*_: object) -> None:
        raise AssertionError("it takes too long")

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    handler = signal.signal(signal.SIGALRM, too_long)
    signal.alarm(SECONDS)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, handler)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MEBIBYTES * 1024


class Touch:
    """Unpickling it makes a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return os.mkdir, (str(self.path),)


def npz(folder: Path) -> tuple[Path, Callable[[], object]]:
    np.savez(folder / "a.npz", x_train=GREY, y_train=LABELS)
    return folder / "a.npz", Npz(folder / "a.npz").load


def csv(folder: Path) -> tuple[Path, Callable[[], object]]:
    rows = [f"{label}," + ",".join(map(str, image.reshape(-1))) for label, image in zip(LABELS, GREY, strict=True)]
    (folder / "a.csv").write_text("\n".join(rows) + "\n")
    return folder / "a.csv", CsvPixels(folder / "a.csv").load


def pictures(folder: Path) -> Path:
    for index, (image, label) in enumerate(zip(GREY, LABELS, strict=True)):
        place = folder / "pictures" / "train" / str(label)
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(place / f"{index}.png")
    return folder / "pictures"


def picture(folder: Path) -> tuple[Path, Callable[[], object]]:
    root = pictures(folder)
    return root / "train" / "0" / "0.png", ImageFolder(root, folder / "cache", image_size=8).load


def table(folder: Path) -> tuple[Path, Callable[[], object]]:
    root = pictures(folder)
    (root / "t.csv").write_text("file,label\n" + "".join(f"{i}.png,{label}\n" for i, label in enumerate(LABELS)))
    return root / "t.csv", ImageFolder(root, folder / "cache", image_size=8, labels="t.csv").load


def idx(folder: Path) -> tuple[Path, Callable[[], object]]:
    raw = folder / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for part in ("train", "t10k"):
        for kind, values in (("images-idx3", GREY), ("labels-idx1", LABELS.astype(np.uint8))):
            header = bytes([0, 0, 8, values.ndim]) + b"".join(side.to_bytes(4, "big") for side in values.shape)
            (raw / f"{part}-{kind}-ubyte").write_bytes(header + values.tobytes())
    source = Mnist(folder, val_size=5, sha256=None, download=False)
    return raw / "train-images-idx3-ubyte", lambda: (source.prepare(), source.load())


def cifar(folder: Path) -> tuple[Path, Callable[[], object]]:
    for path in Cifar10.raw_files.paths(folder):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"")
    source = Cifar10(folder, val_size=5, download=False)
    return path.with_name("data_batch_1"), lambda: (source.prepare(), source.load())


def checkpoint(folder: Path) -> tuple[Path, Callable[[], object]]:
    checkpoint_file.save({"state_dict": {"a": torch.zeros(3)}}, folder / "a.ckpt")
    return folder / "a.ckpt", lambda: checkpoint_file.load(folder / "a.ckpt")


def run_json(folder: Path) -> tuple[Path, Callable[[], object]]:
    return folder / "run.json", lambda: read_record(folder)


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        here = Path.cwd()
        os.chdir(path.parent)  # a socket's whole path may have some hundred bytes
        try:
            made.bind(path.name)
        finally:
            os.chdir(here)


def _sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)


def _bytes(content: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(content)


def _zip_bomb(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("x_train.npy", "w") as member:
        for _ in range(64):
            member.write(bytes(2**20))


FILES = {
    "an npz file": npz,
    "a table of pixels": csv,
    "a picture": picture,
    "a table of labels": table,
    "an idx file": idx,
    "a cifar batch": cifar,
    "a checkpoint": checkpoint,
    "a record": run_json,
}
IN_ITS_PLACE: dict[str, Callable[[Path], object]] = {
    "nothing": lambda path: None,
    "a link to itself": lambda path: path.symlink_to(path.name),
    "a link to nothing": lambda path: path.symlink_to("nowhere"),
    "a link to /dev/zero": lambda path: path.symlink_to("/dev/zero"),
    "a FIFO": lambda path: os.mkfifo(path),
    "a socket": _socket,
    "a folder": lambda path: path.mkdir(),
    "an empty file": _bytes(b""),
    "a terabyte of nothing": _sparse,
    "text": _bytes(b"hello\nthere, you\n"),
    "control characters": _bytes(b"\x1b[31m\0\r\n\x07,\xff\xfe" * 50),
    "a pickle": lambda path: path.write_bytes(pickle.dumps(Touch(path.parent / "ran"))),
    "a zip archive that unpacks to much": _zip_bomb,
}
RARE = [pytest.mark.slow, pytest.mark.ci(every=3)]
DEFAULT = {"a FIFO", "a link to /dev/zero", "a terabyte of nothing"}
PLACES = [
    pytest.param(
        file, what, marks=[] if what in DEFAULT and file not in ("a table of labels", "a cifar batch") else RARE
    )
    for file in FILES
    for what in IN_ITS_PLACE
    if file != "a picture" or what not in ("nothing", "a folder")  # which are no fault there
]


def answered(use: Callable[[], object]) -> str:
    """What was said, in one or two lines that a terminal can show."""
    with pytest.raises((VisionBaselinesError, FileNotFoundError, ValueError)) as caught:
        use()
    if not isinstance(caught.value, FileNotFoundError):
        said = str(caught.value)
        assert len(said.splitlines()) <= 2 + ("fault" in said.splitlines()[0])
        assert all(character.isprintable() or character == "\n" for character in said), repr(said)
        assert len(said) < 1500
    return str(caught.value)


@pytest.mark.parametrize(("file", "what"), PLACES)
def test_anything_in_a_files_place_is_answered_in_a_line_or_two(tmp_path, file, what):
    path, use = FILES[file](tmp_path)
    if path.exists():
        path.unlink()
    IN_ITS_PLACE[what](path)
    answered(use)
    assert not (path.parent / "ran").exists()
    listing_sha256({"_target_": "x.Own", "file": str(path)})


@pytest.mark.parametrize("file", [name for name in FILES if name not in ("a record", "a cifar batch", "a checkpoint")])
def test_a_link_to_a_whole_file_elsewhere_is_that_file(tmp_path, file):
    path, use = FILES[file](tmp_path)
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    use()


@pytest.mark.parametrize("file", ["an npz file", "an idx file", "a picture", "a checkpoint"])
def test_a_file_cut_anywhere_is_answered_in_a_line_or_two(tmp_path, file):
    path, use = FILES[file](tmp_path)
    whole = path.read_bytes()
    for part in (0.02, 0.3, 0.6, 0.8):
        path.write_bytes(whole[: int(len(whole) * part)])
        answered(use)


@pytest.mark.parametrize("name", ["x" * 300, "a\0b", "line\nline\x1b[31m", os.fsdecode(b"caf\xe9")])
def test_a_name_that_no_file_has_is_answered_in_a_line(name):
    for use in (Npz(f"/nowhere/{name}").load, CsvPixels(f"/nowhere/{name}").load, Npz(name).load, CsvPixels(name).load):
        assert "data.source.file" in answered(use)
    for root in (name, f"/nowhere/{name}"):
        answered(ImageFolder(root, "/nowhere/cache").load)
        answered(Mnist(root, download=False).prepare)
        assert listing_sha256({"_target_": "x.Own", "file": root}) is None


HUGE = struct.pack("<d", 1e300)


def npy(descr: str, shape: tuple[int, ...], content: bytes = b"") -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": descr, "fortran_order": False, "shape": shape})
    return buffer.getvalue() + content


@pytest.mark.parametrize(
    "members",
    [
        {"x_train": npy("|u1", (2**40, 28, 28))},
        {"x_train": npy("|u1", (2**62, 2**62))},
        {"x_train": npy("|u1", (-5, 28, 28), bytes(100))},
        {"x_train": npy("|O", (40,), b"cos\nsystem\n")},
        {"x_train": b"\x93NUMPY\x01\x00\xff\xff{'a'"},
        {"x_train": npy("|u1", (40, 8, 8), GREY.tobytes()), "y_train": npy("<f8", (40,), b"\xff" * 320)},
        {"x_train": npy("|V9", (40, 8, 8), bytes(9 * 40 * 64)), "y_train": npy("<i8", (40,), LABELS.tobytes())},
        {"x_train": npy("<c8", (40, 8, 8), bytes(8 * 40 * 64)), "y_train": npy("<i8", (40,), LABELS.tobytes())},
        {"x_train": npy("<M8[s]", (40, 8, 8), bytes(8 * 40 * 64)), "y_train": npy("<i8", (40,), LABELS.tobytes())},
        {"x_train": npy("|u1", (0, 8, 8)), "y_train": npy("<i8", (0,))},
        {
            "x_train": npy("|u1", (40, 8, 8), GREY.tobytes()),
            "y_train": npy("<f8", (40,), HUGE * 40),
        },
        {"a\n\x1b[31m" + "x" * 1000: b""},
        {f"a{i}": b"" for i in range(2000)},
    ],
)
def test_an_archive_of_odd_arrays_is_answered_in_a_line(tmp_path, members):
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
        if "x_train" in members and "y_train" not in members:
            archive.writestr("y_train.npy", npy("<i8", (40,), LABELS.tobytes()))
    assert "\n" not in answered(Npz(tmp_path / "a.npz").load)


@pytest.mark.parametrize("change", ["encrypted", "of an unknown method", "of a false checksum"])
def test_an_archive_of_odd_members_is_answered_in_a_line(tmp_path, change):
    path, use = npz(tmp_path)
    content = bytearray(path.read_bytes())
    at = content.index(b"PK\x01\x02")
    offset, value = {"encrypted": (8, 1), "of an unknown method": (10, 99)}.get(change, (16, content[at + 16] ^ 1))
    content[at + offset] = value
    if change != "of a false checksum":
        content[offset - 2] = value
    path.write_bytes(content)
    assert "\n" not in answered(use)


ROW = ",".join(map(str, range(4)))


@pytest.mark.parametrize(
    ("content", "works"),
    [
        (f"\ufefflabel,a,b,c,d\n{''.join(f'{i % 2},{ROW}' + chr(10) for i in range(20))}".encode(), True),
        ("".join(f"{i % 2},{ROW}\r\n" for i in range(20)).encode(), True),
        ("label,a,b,c,d\n" + "".join(f'"k\n{i % 2}",{ROW}\n' for i in range(20)), True),
        ("label,a,b,c,d\n" + "".join(f"é{i % 2},{ROW}\n" for i in range(20)), True),
        (("label,a,b,c,d\n" + "".join(f"é{i % 2},{ROW}\n" for i in range(20))).encode("latin-1"), False),
        (("label,a,b,c,d\n" + "".join(f"{i % 2},{ROW}\n" for i in range(20))).encode("utf-16"), False),
        ("label,a,b,c,d\n" + "".join(f"{i % 2},{ROW}\n" for i in range(20)) + "1,2\n", False),
        ("label,a,b,c,d\n" + "".join(f"{i % 2},{ROW}\n" for i in range(20)) + "1,2,3,4,5,6,7\n", False),
        ("label,a,b,c,d\n" + "".join(f"{i % 2},{ROW}\n" for i in range(20)) + "1,\0,3,4,5\n", False),
        ("label,a,b,c,d\n", False),
        ("label\n1\n2\n", False),
        ("label,\x1b[31m,b\x07,c,d\n" + "".join(f"{i % 2},x,1,2,3\n" for i in range(20)), False),
        ('label,a,b,c,d\n"1,2,3,4,5\n' + f"1,{ROW}\n" * 20, False),
        ("label,a,b,c,d\n" + f"1,{ROW}\n" * 20 + f"2,{10**400},2,3,4\n", False),
        ("label,a,b,c,d\n" + f"1,{ROW}\n" * 20 + "2,inf,2,3,4\n", False),
        (",".join(["label", *map(str, range(3_000))]) + "\n", False),
    ],
)
def test_a_table_of_any_bytes_is_read_or_answered_in_a_line(tmp_path, content, works):
    path = tmp_path / "a.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    if works:
        assert len(CsvPixels(path).load().class_names) == 2
    else:
        assert "\n" not in answered(CsvPixels(path).load)


def png(*chunks: tuple[bytes, bytes]) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*one) for one in chunks)


HEADER = struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 0)


@functools.cache
def quarter_of_a_gigabyte():
    """Zeros, deflated: made when it is needed, for it takes a second or two."""
    return zlib.compress(bytes(2**28), level=1)


@pytest.mark.few(3)
@pytest.mark.parametrize(
    "content",
    [
        lambda: png((b"IHDR", HEADER), (b"zTXt", b"a\0\0" + quarter_of_a_gigabyte()), (b"IEND", b"")),
        lambda: png((b"IHDR", HEADER), (b"IDAT", quarter_of_a_gigabyte()), (b"IEND", b"")),
        png((b"IHDR", struct.pack(">IIBBBBB", 2**31 - 1, 2**31 - 1, 8, 2, 0, 0, 0)), (b"IEND", b"")),
        b"P5 9000000000 1 255\n",
        b"GIF89a" + b"\xff" * 40,
        b"II*\0\x08\0\0\0\x01\0" + b"\xff" * 60,
    ],
)
def test_a_picture_that_unpacks_to_much_is_decoded_or_named(tmp_path, content):
    path, use = picture(tmp_path)
    path.write_bytes(content() if callable(content) else content)
    with suppress(DataError):
        use()
    ImageFolder(tmp_path / "pictures", tmp_path / "cache", image_size=8, on_damaged="skip").load()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
@pytest.mark.parametrize("file", [name for name in FILES if name != "a record"])
def test_a_file_that_may_not_be_read_is_answered_in_a_line_or_two(tmp_path, file):
    path, use = FILES[file](tmp_path)
    path.chmod(0)
    answered(use)
