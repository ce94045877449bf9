"""Photos of any common format as upright, opaque 8-bit RGB."""

from __future__ import annotations

import io
import os
import warnings

import numpy as np
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

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
    file = check_input(path)
    formats = [name for name in _FORMATS if name in _registered_formats()]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the limit is checked below
            with Image.open(file, formats=formats) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise Image.DecompressionBombError
                image.draft(None, (max_side, max_side))  # JPEG only: decode at 1/2, 1/4 or 1/8 when that is enough
                image.load()
                return _to_rgb(image, max_side)
    except InputError:
        raise
    except Image.DecompressionBombError as error:
        limit = MAX_PIXELS // 1_000_000
        raise InputError(f"cannot read {path}: the image has more than {limit} million pixels") from error
    except UnidentifiedImageError as error:
        hint = "; HEIC photos need the package pillow-heif" if file.suffix.lower() in (".heic", ".heif") else ""
        raise InputError(f"cannot read {path}: it is not an image that can be decoded{hint}") from error
    except (OSError, ValueError, SyntaxError, EOFError, MemoryError) as error:  # what Pillow's decoders raise
        raise InputError(f"cannot read {path}: the image is damaged or of an unknown kind ({error})") from error


def _registered_formats() -> set[str]:
    return set(Image.registered_extensions().values())  # also makes Pillow load its decoders


def _to_rgb(image: Image.Image, max_side: int) -> np.ndarray:
    if image.mode.startswith("I") or image.mode == "F":
        image = Image.fromarray(_to_8_bit(np.asarray(image))).copy()
    exif = image.getexif()
    profile = image.info.get("icc_profile")
    if max(image.size) > max_side:
        image.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
    if exif.get(0x0112, 1) != 1:
        image = ImageOps.exif_transpose(image)
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
