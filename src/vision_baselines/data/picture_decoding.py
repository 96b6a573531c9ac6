"""A picture file of any size and mode, brought to one size and 8 bits per channel.

What becomes of what:

- orientation: the camera's note (EXIF) is obeyed; of several frames or pages the first counts;
- transparency: composited on white;
- palette, CMYK, YCbCr, black and white: converted by Pillow; grey is ITU-R 601 luma;
- 16-bit grey: 0 … 65535 divided by 257 and rounded, or 0 … `pixel_max` scaled in the same way, as many cameras and
  scanners put 10, 12 or 14 bits into such files (of 16-bit colour Pillow itself keeps the high byte);
- 32-bit integers beyond 16 bits and floats: refused, as their range is not known;
- size: scaled so that the picture covers the target, then its centre is cropped; or, without cropping, stretched.
  Bilinear with antialiasing. A large JPEG is first reduced while it is decoded, to no less than twice the target.

Only formats in which a picture is only a picture are opened (PostScript, say, is not).
"""

from __future__ import annotations

import statistics
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError, features

from vision_baselines.errors import DataError

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP", *(["AVIF"] if features.check("avif") else []))

# Where Pillow begins to warn of decompression bombs, a quarter of a gibibyte at 3 bytes a pixel; at twice this it
# refuses by itself.
MAX_PIXELS = 89_478_485

# White in a 16-bit picture, unless its values use fewer bits.
SIXTEEN_BIT_MAX = 65_535
_FEWER_BITS_MAX = (255, 1_023, 4_095, 16_383)

PixelArray = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]


class PictureError(Exception):
    """A picture cannot be used; the message says why, without its name.

    Args:
        fault: What is wrong with it.
        key: The config key of training that decides on this, which the message then names.
    """

    def __init__(self, fault: str, key: str = "") -> None:
        super().__init__(f"{fault} ({key})" if key else fault)
        self.fault = fault


def decoded(
    path: Path,
    *,
    size: tuple[int, int] | None,
    channels: int,
    crop: bool = True,
    max_pixels: int = MAX_PIXELS,
    pixel_max: int = SIXTEEN_BIT_MAX,
    note_peak: Callable[[int], None] | None = None,
) -> PixelArray:
    """Pixels of one picture.

    Args:
        path: The file.
        size: Height and width of the result, in pixels; None leaves the picture's own.
        channels: 3 for RGB, 1 for grey.
        crop: Whether the shape is kept and the centre cropped, or the picture stretched.
        max_pixels: A picture that states more is refused before it is decoded.
        pixel_max: The value of white in a 16-bit picture.
        note_peak: Called with the largest value of a 16-bit picture.

    Returns:
        (channels, height, width), uint8.

    Raises:
        PictureError: It is damaged, no picture, too large, or of unknown range.
    """
    try:
        with Image.open(path, formats=FORMATS) as image:
            if image.width * image.height > max_pixels:
                raise _too_large(f"{image.width:,}×{image.height:,} pixels", max_pixels)
            if size is not None:
                image.draft("RGB", (2 * max(size), 2 * max(size)))
            upright = eight_bit(ImageOps.exif_transpose(image), pixel_max=pixel_max, note_peak=note_peak)
            return prepared(upright, size=size, channels=channels, crop=crop)
    except PictureError:
        raise
    except Image.DecompressionBombError as error:
        raise _too_large("too many pixels", max_pixels) from error
    except UnidentifiedImageError as error:
        raise PictureError(_unidentified(path)) from error
    except MemoryError as error:
        raise PictureError("not enough memory to decode it") from error
    except Exception as error:  # Pillow's readers raise almost anything on damaged bytes
        raise PictureError(" ".join(str(error).split()) or type(error).__name__) from error


def prepared(image: Image.Image, *, size: tuple[int, int] | None, channels: int, crop: bool = True) -> PixelArray:
    """Pixels of an open picture, (channels, height, width), uint8; arguments as `decoded`."""
    height, width = size or (image.height, image.width)
    plain = _without_transparency(eight_bit(image)).convert("RGB" if channels == 3 else "L")
    if crop:
        resized = ImageOps.fit(plain, (width, height), method=Image.Resampling.BILINEAR)
    else:
        resized = plain.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(resized).reshape(height, width, channels).transpose(2, 0, 1)


def upright_size(path: Path, *, max_pixels: int = MAX_PIXELS) -> tuple[int, int] | None:
    """Height and width of a picture as people see it, from its header; None where there is none to read.

    Raises:
        PictureError: It states more than `max_pixels`.
    """
    try:
        with Image.open(path, formats=FORMATS) as image:
            width, height = image.size
            orientation: Any = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Image.DecompressionBombError as error:
        raise PictureError(f"expected at most {max_pixels:,} pixels") from error
    except Exception:  # Pillow's readers raise almost anything on damaged bytes
        return None
    if width * height > max_pixels:
        raise PictureError(f"{width:,}×{height:,}; expected at most {max_pixels:,} pixels")
    on_its_side = isinstance(orientation, int) and orientation >= 5
    return (width, height) if on_its_side else (height, width)


def pixel_max_for(peak: int) -> int:
    """White in 16-bit pictures of which the brightest pixel of all has this value: 8, 10, 12, 14 or 16 bits.

    >>> pixel_max_for(3900), pixel_max_for(60000)
    (4095, 65535)
    """
    return next((white for white in _FEWER_BITS_MAX if peak <= white), SIXTEEN_BIT_MAX)


def median_side(paths: Sequence[Path]) -> int:
    """Median of the shorter sides of pictures, in pixels, from their headers; those without one do not count.

    Raises:
        DataError: None has one.
    """
    sides = []
    with quiet_pillow():
        for path in paths:
            with suppress(Exception), Image.open(path, formats=FORMATS) as image:
                sides.append(min(image.size))
    if not sides:
        raise DataError("data.source.image_size is auto, but no picture can be opened; expected a number of pixels")
    return round(statistics.median(sides))


@contextmanager
def quiet_pillow() -> Iterator[None]:
    """Silence Pillow's warnings, of odd metadata and of large pictures, which `decoded` decides on by itself.

    To be entered once around many calls, as the filters of `warnings` are the whole process's.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def eight_bit(
    image: Image.Image, *, pixel_max: int = SIXTEEN_BIT_MAX, note_peak: Callable[[int], None] | None = None
) -> Image.Image:
    """A picture of 8 bits a channel; arguments as `decoded`."""
    if image.mode == "F":
        raise PictureError("floating-point pixels, whose range is not known; expected 8 or 16 bits")
    if not image.mode.startswith("I"):
        return image
    values: np.ndarray[Any, Any] = np.asarray(image)
    if values.min() < 0 or values.max() > SIXTEEN_BIT_MAX:
        raise PictureError(f"32-bit pixels from {values.min()} to {values.max()}; expected 8 or 16 bits")
    if values.max() > pixel_max:
        raise PictureError(f"a pixel of {values.max()}; expected at most {pixel_max}", "data.source.pixel_max")
    if note_peak is not None:
        note_peak(int(values.max()))
    return Image.fromarray(((values.astype(np.uint32) * 255 + pixel_max // 2) // pixel_max).astype(np.uint8))


def _without_transparency(image: Image.Image) -> Image.Image:
    if not image.has_transparency_data:
        return image
    opaque = Image.new("RGBA", image.size, "white")
    opaque.alpha_composite(image.convert("RGBA"))
    return opaque


def _too_large(received: str, max_pixels: int) -> PictureError:
    return PictureError(f"{received}; expected at most {max_pixels:,}", "data.source.max_pixels")


def _unidentified(path: Path) -> str:
    if not path.stat().st_size:
        return "empty file"
    with path.open("rb") as file:
        return f"no picture in a known format (begins with {file.read(12)!r})"
