"""Photos of any common format as upright, opaque 8-bit RGB."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, ImageSequence, UnidentifiedImageError

from shared.containers import open_media, video_stream
from shared.errors import InputError
from shared.files import check_input

try:  # HEIC, the format of many phones, needs a package of its own
    from pillow_heif import register_heif_opener

    register_heif_opener()
except ImportError:
    pass

MAX_PIXELS = 120_000_000
"""Larger photos are refused: they may be small on disk, but decoded they exceed the memory."""

# Formats of photographs; others of Pillow (PostScript, which runs a program) are not opened.
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "PPM", "JPEG2000", "AVIF", "HEIF")
# Formats of which a file may be an animation; further pictures of others are pages, thumbnails or depth maps.
_ANIMATED = ("PNG", "WEBP", "GIF", "AVIF")
# Animations that FFmpeg does not decode, or only the first picture of.
_BY_PILLOW = ("WEBP", "AVIF")

# Photos that are known by their content, whatever their name, but need what may not be there: the marks of the file's
# first bytes (brands of "ftyp" in HEIC and AVIF), and what to do.
_HINTS = {
    (b"avif", b"avis"): "it is an AVIF photo, which needs Pillow 11.3 or later (pip install -U pillow)",
    (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"): (
        "it is a HEIC photo, which needs the package pillow-heif (pip install pillow-heif)"
    ),
    (b"\xff\x0a", b"JXL "): "it is a JPEG XL photo; convert it to JPEG or PNG",
    (b"II*\0", b"MM\0*"): "it is a TIFF or raw photo of a kind that cannot be decoded; convert it to JPEG or PNG",
    (b"\0\0\1\0",): "it is an icon (ICO); convert it to JPEG or PNG",
}

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What makes a picture upright, by its EXIF orientation."""


def read_image(path: str | os.PathLike, max_side: int = 20_000) -> np.ndarray:
    """Read a photo as uint8 [H, W, 3] RGB (sRGB).

    The camera's orientation is applied, transparent parts become white, embedded colour profiles are converted to sRGB,
    and 16-bit, floating-point, palette, grey and CMYK images become 8-bit RGB. Of an animation the first frame is read.

    Args:
        path: the photo.
        max_side: a photo whose longer side exceeds this number of pixels is reduced to it.

    Raises:
        InputError: the file is missing, empty, not an image, damaged, or larger than `MAX_PIXELS`.
    """
    with _understood(path) as file, _opened(file) as image:
        if image.width * image.height > MAX_PIXELS:
            raise Image.DecompressionBombError
        image.draft(None, (max_side, max_side))  # JPEG only: decode at 1/2, 1/4 or 1/8 when that is enough
        image.load()
        return _to_rgb(image, max_side)


def check_image(path: str | os.PathLike) -> None:
    """Check the header of a photo, without decoding it. Raises InputError as `read_image`."""
    with _understood(path) as file, _opened(file) as image:
        if image.width * image.height > MAX_PIXELS:
            raise Image.DecompressionBombError


@contextmanager
def _understood(path: str | os.PathLike) -> Iterator[Path]:
    """Give the file, and turn what Pillow raises into what `read_image` raises."""
    file = check_input(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the limit is checked by itself
            yield file
    except InputError:
        raise
    except Image.DecompressionBombError as error:
        limit = MAX_PIXELS // 1_000_000
        raise InputError(f"cannot read {path}: the image has more than {limit} million pixels") from error
    except UnidentifiedImageError as error:
        reason = _hint(file) or _medium(file) or "it is not an image that can be decoded"
        raise InputError(f"cannot read {path}: {reason}") from error
    except (OSError, ValueError, SyntaxError, EOFError, MemoryError) as error:  # what Pillow's decoders raise
        raise InputError(f"cannot read {path}: the image is damaged or of an unknown kind ({error})") from error


def is_photo(path: str | os.PathLike) -> bool:
    """Return whether a file is a still picture, by its content; also one that cannot be decoded here, as HEIC may be.

    Only animations (PNG, WebP, GIF, AVIF of several frames) and what is no picture are none: the further pictures of a
    TIFF are pages, those of a phone's JPEG (MPO) and HEIC its depth map or thumbnail.

    Raises:
        InputError: as `check_input`.
    """
    file = check_input(path)
    try:
        with _opened(file) as image:
            return not (image.format in _ANIMATED and getattr(image, "n_frames", 1) > 1)
    except UnidentifiedImageError:
        return _hint(file) is not None
    except Image.DecompressionBombError:
        return True
    except (OSError, ValueError, SyntaxError):
        return False


def read_animation(path: str | os.PathLike) -> Iterator[tuple[float, np.ndarray]] | None:
    """Return the frames of an animation that FFmpeg does not decode (WebP, AVIF), or None for any other file.

    Each is its duration in seconds and a picture as `read_image` returns it.

    Raises:
        InputError: as `check_input`; while iterating, a damaged animation.
    """
    file = check_input(path)
    if is_photo(file):
        return None
    try:
        with _opened(file) as image:
            return _frames(file) if image.format in _BY_PILLOW else None
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


def _frames(file: Path) -> Iterator[tuple[float, np.ndarray]]:
    try:
        with _opened(file) as image:
            for frame in ImageSequence.Iterator(image):
                frame.load()  # which sets the duration
                yield max(frame.info.get("duration", 0) or 100, 10) / 1000, _to_rgb(frame.copy(), max(frame.size))
    except (OSError, ValueError, SyntaxError, EOFError, MemoryError) as error:
        raise InputError(f"cannot read {file}: the animation is damaged ({error})") from error


def _opened(file: Path) -> Image.Image:
    """Open a file of one of `_FORMATS`, as far as they are available."""
    available = set(Image.registered_extensions().values())  # also makes Pillow load its decoders
    return Image.open(file, formats=[name for name in _FORMATS if name in available])


def _hint(file: Path) -> str | None:
    """Say what a photo needs that Pillow does not open here."""
    with file.open("rb") as handle:
        start = handle.read(64)
    marks = [start[:2], start[:4], start[4:8]]
    if start[4:8] == b"ftyp":
        brands = start[8 : min(len(start), int.from_bytes(start[:4], "big"))]
        marks = [brands[i : i + 4] for i in range(0, len(brands), 4)]
    return next((hint for known, hint in _HINTS.items() if set(known) & set(marks)), None)


def _medium(file: Path) -> str | None:
    """Say that a file is a video or sound; None for anything else."""
    try:
        container = open_media(file)
    except InputError:
        return None
    with container:
        if container.format.name == "image2" or container.format.name.endswith("_pipe"):
            return None  # a picture that Pillow does not open, or only named like one
        try:
            video_stream(container, file)
        except InputError:
            return "it is a sound file, not a photo"
    return "it is a video; save one of its frames as JPEG or PNG"


def _to_rgb(image: Image.Image, max_side: int) -> np.ndarray:
    orientation, profile = image.getexif().get(0x0112, 1), image.info.get("icc_profile")
    if image.mode.startswith("I") or image.mode == "F":
        image = Image.fromarray(_to_8_bit(np.asarray(image))).copy()
    elif image.mode in ("P", "PA"):  # colours are not in the pixels: profiles and resampling would act on numbers
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    if max(image.size) > max_side:
        image.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
    if orientation in _TURNS:
        image = image.transpose(_TURNS[orientation])
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    if profile and image.mode in ("RGB", "RGBA", "CMYK"):
        image = _to_srgb(image, profile)
    return np.array(image.convert("RGB"))


def _to_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """Convert from the embedded profile (wide-gamut phones, print); a broken profile is ignored."""
    image = image.convert("RGB") if image.mode == "RGBA" else image
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        return ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB") or image
    except (ImageCms.PyCMSError, OSError):
        return image


def _to_8_bit(values: np.ndarray) -> np.ndarray:
    """Scale grey values of unknown range to uint8.

    16-bit integers use their full range; for 32-bit integers and floats the range is inferred from the largest value:
    1, 255, 65535, or that value itself.
    """
    if values.dtype.itemsize == 2:
        return np.round(values.astype(np.float32) / 257).astype(np.uint8)
    values = np.nan_to_num(values.astype(np.float32), posinf=0, neginf=0).clip(min=0)
    peak = float(values.max(initial=0))
    ranges = (1.0, 255.0, 65535.0) if values.dtype.kind == "f" else (255.0, 65535.0)
    top = next((r for r in ranges if peak <= r), peak)
    return np.round(values * (255 / top)).astype(np.uint8)
