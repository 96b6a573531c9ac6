"""What becomes of a picture's size and mode; FAULTS rows 42, 44 and 48."""

import struct
import zlib
from contextlib import suppress

import numpy as np
import pytest
from PIL import Image

from vision_baselines.data.picture_decoding import MAX_PIXELS, PictureError, decoded, quiet_pillow


def save(path, image, **options):
    image.save(path, **options)
    return path


def flat(mode, color, side=8):
    return Image.new(mode, (side, side), color)


def png_of_size(width, height):
    """A valid PNG header and a few bytes of pixels."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


def first_pixel(path, channels=3):
    return decoded(path, size=(4, 4), channels=channels)[:, 0, 0].tolist()


def test_a_picture_of_the_right_size_keeps_its_pixels(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    path = save(tmp_path / "a.png", Image.fromarray(pixels))
    assert np.array_equal(decoded(path, size=(5, 7), channels=3), pixels.transpose(2, 0, 1))


@pytest.mark.parametrize(
    ("mode", "color", "expected"),
    [
        ("RGB", (10, 20, 30), [10, 20, 30]),
        ("L", 90, [90, 90, 90]),
        ("1", 1, [255, 255, 255]),
        ("RGBA", (10, 20, 30, 255), [10, 20, 30]),
        ("RGBA", (10, 20, 30, 0), [255, 255, 255]),
        ("RGBA", (0, 0, 0, 102), [153, 153, 153]),
        ("LA", (0, 0), [255, 255, 255]),
        ("LA", (40, 255), [40, 40, 40]),
    ],
)
def test_row_44_modes_are_converted_to_rgb_on_white(tmp_path, mode, color, expected):
    assert first_pixel(save(tmp_path / "a.png", flat(mode, color))) == expected


@pytest.mark.parametrize("mode", ["CMYK", "YCbCr", "LAB", "F", "I"])
def test_row_44_other_modes_of_tiff_are_converted_or_named(tmp_path, mode):
    path = save(tmp_path / "a.tiff", flat(mode, 0))
    if mode == "F":
        with pytest.raises(PictureError, match="floating-point pixels"):
            first_pixel(path)
    else:
        assert max(first_pixel(path)) <= 255


def test_row_44_palettes_keep_their_colours_and_their_transparency(tmp_path):
    palette = Image.new("P", (8, 8), 1)
    palette.putpalette([0, 0, 0, 200, 100, 50])
    assert first_pixel(save(tmp_path / "a.png", palette)) == [200, 100, 50]
    assert first_pixel(save(tmp_path / "b.png", palette, transparency=1)) == [255, 255, 255]
    assert first_pixel(save(tmp_path / "c.gif", palette)) == [200, 100, 50]


@pytest.mark.parametrize("name", ["a.png", "a.tiff", "a.pgm"])
def test_row_44_16_bit_grey_is_divided_by_257(tmp_path, name):
    levels = np.array([[0, 128, 129, 257], [32_896, 65_278, 65_406, 65_407]] * 2, dtype=np.uint16)
    path = save(tmp_path / name, Image.fromarray(levels))
    pixels = decoded(path, size=(4, 4), channels=1)[0]
    assert pixels.tolist() == [[0, 0, 1, 1], [128, 254, 254, 255]] * 2


def test_row_44_32_bit_pixels_of_unknown_range_are_named(tmp_path):
    path = save(tmp_path / "a.tiff", Image.fromarray(np.full((4, 4), 70_000, dtype=np.int32)))
    with pytest.raises(PictureError, match="32-bit pixels from 70000 to 70000"):
        first_pixel(path)


def test_grey_is_the_luma_of_the_colours(tmp_path):
    path = save(tmp_path / "a.png", flat("RGB", (255, 0, 0)))
    assert first_pixel(path, channels=1) == [76]  # 0.299 * 255


def test_the_camera_s_orientation_is_obeyed(tmp_path):
    image = Image.new("RGB", (8, 8), "black")
    image.paste((255, 255, 255), (0, 0, 8, 4))
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    path = save(tmp_path / "a.png", image, exif=exif)
    pixels = decoded(path, size=(8, 8), channels=1)[0]
    assert pixels[0].tolist() == [0] * 8
    assert pixels[7].tolist() == [255] * 8


def test_cropping_keeps_the_centre_and_stretching_keeps_everything(tmp_path):
    image = Image.new("L", (30, 10), 0)
    image.paste(255, (10, 0, 20, 10))
    path = save(tmp_path / "a.png", image)
    assert decoded(path, size=(10, 10), channels=1).min() == 255
    stretched = decoded(path, size=(10, 10), channels=1, crop=False)[0, 0]
    assert stretched[0] == stretched[-1] == 0
    assert stretched[5] == 255


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1), (33, 47)])
def test_any_size_becomes_the_target_size(tmp_path, size):
    path = save(tmp_path / "a.png", Image.new("RGB", size, (1, 2, 3)))
    pixels = decoded(path, size=(12, 12), channels=3)
    assert pixels.shape == (3, 12, 12)
    assert pixels.reshape(3, -1).T.tolist() == [[1, 2, 3]] * 144


def test_a_large_jpeg_reduced_while_decoded_looks_as_if_it_had_not_been(tmp_path):
    ramp = np.linspace(0, 255, 1024, dtype=np.uint8)
    image = Image.fromarray(np.stack([np.add.outer(ramp // 2, ramp // 2)] * 3, axis=-1))
    path = save(tmp_path / "a.jpg", image, quality=95)
    whole = np.asarray(Image.open(path).convert("RGB").resize((16, 16), Image.Resampling.BILINEAR))
    assert np.abs(decoded(path, size=(16, 16), channels=3).transpose(1, 2, 0) - whole.astype(int)).max() <= 2


def test_row_42_a_truncated_jpeg_is_refused(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    path = save(tmp_path / "a.jpg", Image.fromarray(pixels))
    content = path.read_bytes()
    for length in (len(content) // 2, 400, 30, 3):
        path.write_bytes(content[:length])
        with pytest.raises(PictureError):
            first_pixel(path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty file"),
        (b"hello there, no picture", r"no picture in a known format \(begins with b'hello there,'\)"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "no picture in a known format"),
        (b"\x89PNG\r\n\x1a\n", "."),
    ],
)
def test_row_42_what_is_no_picture_is_refused_with_the_reason(tmp_path, content, reason):
    path = tmp_path / "a.png"
    path.write_bytes(content)
    with pytest.raises(PictureError, match=reason):
        first_pixel(path)


def test_row_42_random_bytes_after_any_format_s_header_never_raise_anything_else(tmp_path):
    draws = np.random.default_rng(0)
    for name, format_options in {
        "a.png": {},
        "a.gif": {},
        "a.tiff": {},
        "a.bmp": {},
        "a.webp": {},
        "a.ppm": {},
    }.items():
        path = save(tmp_path / name, flat("RGB", (9, 9, 9), side=16), **format_options)
        whole = path.read_bytes()
        for _ in range(20):
            damaged = bytearray(whole)
            for at in draws.integers(4, len(whole), 6):
                damaged[at] = draws.integers(256)
            path.write_bytes(damaged)
            with quiet_pillow(), suppress(PictureError):
                decoded(path, size=(4, 4), channels=3)


@pytest.mark.parametrize("side", [100_000, 12_000])
def test_row_48_billions_of_pixels_in_a_few_bytes_are_refused_undecoded(tmp_path, side):
    path = tmp_path / "a.png"
    path.write_bytes(png_of_size(side, side))
    with quiet_pillow(), pytest.raises(PictureError, match=f"pixels; expected at most {MAX_PIXELS:,}"):
        first_pixel(path)


def test_the_limit_of_pixels_can_be_set(tmp_path):
    path = save(tmp_path / "a.png", flat("L", 7, side=10))
    assert decoded(path, size=(4, 4), channels=1, max_pixels=100).shape == (1, 4, 4)
    with pytest.raises(PictureError, match="10×10 pixels; expected at most 99"):
        decoded(path, size=(4, 4), channels=1, max_pixels=99)
