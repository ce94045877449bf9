"""Reading photos: every format and mode, and unusable files."""

import numpy as np
import pytest
from media_files import BAD, assert_one_line, bad_file, encode, grey_frames, tone, write_video
from PIL import Image, ImageCms

import shared.audio
import shared.images
from shared.errors import InputError
from shared.images import check_image, is_photo, read_animation, read_image


def ramp(mode: str) -> Image.Image:
    """A picture whose grey rises from 0 to 255 over 256 columns."""
    grey = np.tile(np.arange(256, dtype=np.uint8), (64, 1))
    if mode == "I;16":
        return Image.fromarray(grey.astype(np.uint16) * 257)
    if mode == "I":
        return Image.fromarray(grey.astype(np.int32) * 257)
    if mode == "F":
        return Image.fromarray(grey.astype(np.float32) / 255)
    if mode == "P":
        return Image.fromarray(grey).convert("P")
    return Image.fromarray(grey).convert("RGB").convert(mode)


@pytest.mark.parametrize(
    ("mode", "suffix"),
    [
        *[("RGB", s) for s in ("png", "jpg", "webp", "bmp", "tif", "gif")],
        *[(m, "png") for m in ("L", "LA", "P", "RGBA", "I;16")],
        *[(m, "tif") for m in ("L", "I;16", "I", "F", "CMYK", "RGBA")],
        ("L", "jpg"),
        ("CMYK", "jpg"),
    ],
)
def test_image_modes_become_rgb(tmp_path, mode, suffix):
    path = tmp_path / f"p.{suffix}"
    ramp(mode).save(path, **({"quality": 98} if suffix in ("jpg", "webp") else {}))
    image = read_image(path)
    assert image.shape == (64, 256, 3) and image.dtype == np.uint8 and image.flags.writeable
    assert np.abs(image.astype(int) - np.arange(256)[None, :, None]).max() <= (
        6 if suffix in ("jpg", "webp", "gif") else 1
    )


def test_black_and_white_image(tmp_path):
    ramp("L").point(lambda v: 255 * (v > 127)).convert("1").save(tmp_path / "p.png")
    assert set(np.unique(read_image(tmp_path / "p.png"))) == {0, 255}


def test_transparency_is_laid_over_white(tmp_path):
    Image.new("RGBA", (8, 8), (255, 0, 0, 128)).save(tmp_path / "rgba.png")
    Image.new("LA", (8, 8), (0, 0)).save(tmp_path / "la.png")
    palette = Image.new("RGB", (8, 8), "red").convert("P")
    palette.save(tmp_path / "p.png", transparency=palette.getpixel((0, 0)))
    assert read_image(tmp_path / "rgba.png")[0, 0] == pytest.approx([255, 127, 127], abs=1)
    assert (read_image(tmp_path / "la.png") == 255).all()
    assert (read_image(tmp_path / "p.png") == 255).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(tmp_path, orientation):
    upright = np.zeros((40, 60, 3), np.uint8)
    upright[:20, :30] = 255  # white in the top left only
    # What a camera stores so that the tag's operation gives the upright picture.
    stored = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: np.rot90(a, 1),
        7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
        8: lambda a: np.rot90(a, -1),
    }[orientation](upright)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(stored)).save(tmp_path / "p.png", exif=exif)
    assert np.array_equal(read_image(tmp_path / "p.png"), upright)


def test_wide_gamut_profile_is_converted_and_a_broken_one_ignored(tmp_path):
    lab_free = Image.new("RGB", (8, 8), (200, 100, 50))
    lab_free.save(tmp_path / "broken.png", icc_profile=b"no profile")
    lab_free.save(tmp_path / "srgb.png", icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    for name in ("broken.png", "srgb.png"):
        assert read_image(tmp_path / name)[0, 0] == pytest.approx([200, 100, 50], abs=1)


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_huge_photo_is_reduced(tmp_path, suffix):
    Image.new("RGB", (6000, 3000), (10, 200, 30)).save(tmp_path / f"p.{suffix}")
    assert read_image(tmp_path / f"p.{suffix}").shape == (3000, 6000, 3)  # small faces of large photos stay
    small = read_image(tmp_path / f"p.{suffix}", max_side=500)
    assert small.shape == (250, 500, 3)
    assert small[100, 100] == pytest.approx([10, 200, 30], abs=3)


def test_more_pixels_than_the_limit(tmp_path, monkeypatch):
    Image.new("L", (400, 300)).save(tmp_path / "p.png")
    monkeypatch.setattr(shared.images, "MAX_PIXELS", 100_000)
    with pytest.raises(InputError, match="million pixels"):
        read_image(tmp_path / "p.png")


def test_decompression_bomb(tmp_path):
    Image.new("1", (20000, 20000)).save(tmp_path / "p.png")
    for read in (read_image, check_image):
        with pytest.raises(InputError, match="more than 120 million pixels"):
            read(tmp_path / "p.png")


def test_a_header_is_checked_without_decoding(tmp_path, monkeypatch):
    Image.new("RGB", (32, 32)).save(tmp_path / "p.png")
    monkeypatch.setattr(Image.Image, "load", lambda _: pytest.fail("decoded"))
    check_image(tmp_path / "p.png")
    (tmp_path / "t.png").write_text("no picture")
    with pytest.raises(InputError, match=r"t.png: it is"):
        check_image(tmp_path / "t.png")


def test_animation_gives_its_first_frame(tmp_path):
    first, second = Image.new("RGB", (32, 32), "red"), Image.new("RGB", (32, 32), "blue")
    for name in ("a.gif", "a.webp", "a.png"):
        first.save(tmp_path / name, save_all=True, append_images=[second])
        assert read_image(tmp_path / name)[16, 16].tolist() == pytest.approx([255, 0, 0], abs=3)


def test_tiny_photo_is_returned(tmp_path):
    Image.new("RGB", (1, 3), "red").save(tmp_path / "p.png")
    assert read_image(tmp_path / "p.png").shape == (3, 1, 3)


@pytest.mark.parametrize("kind", BAD)
def test_unusable_photo(tmp_path, kind):
    path = bad_file(tmp_path, kind)
    with pytest.raises(InputError) as error:
        read_image(path)
    assert_one_line(error, path)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
def test_truncated_photo(tmp_path, suffix):
    noise = np.random.default_rng(0).integers(0, 255, (100, 100, 3), np.uint8)
    path = tmp_path / f"p.{suffix}"
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError) as error:
        read_image(path)
    assert_one_line(error, path)


def other_profile() -> bytes:
    """sRGB with the primaries red and green exchanged."""
    data = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return data.replace(b"rXYZ", b"xxxx", 1).replace(b"gXYZ", b"rXYZ", 1).replace(b"xxxx", b"gXYZ", 1)


@pytest.mark.situation("Pictures", "a palette image with a colour profile", "colours are converted as in other images")
@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("transparent", [False, True])
def test_the_profile_of_a_palette_image(suffix, transparent, tmp_path):
    picture = Image.new("RGB", (16, 8), (200, 100, 50))
    picture.paste((20, 60, 220), (8, 0, 16, 8))
    palette = picture.quantize(4)
    options = {"transparency": palette.getpixel((12, 4))} if transparent and suffix == "png" else {}
    palette.save(tmp_path / f"p.{suffix}", icc_profile=other_profile(), **options)
    image = read_image(tmp_path / f"p.{suffix}")
    assert image[4, 2] == pytest.approx([100, 200, 50], abs=40) and image[4, 2, 1] > 1.5 * image[4, 2, 0]
    picture.save(tmp_path / "rgb.png", icc_profile=other_profile())
    assert image[4, 2] == pytest.approx(read_image(tmp_path / "rgb.png")[4, 2], abs=2)
    if options:
        assert image[4, 12] == pytest.approx([255] * 3, abs=2)


def test_sixteen_bit_grey_is_turned_too(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    grey = np.tile(np.arange(40, dtype=np.uint16) * 1000, (20, 1))
    Image.fromarray(grey).save(tmp_path / "p.png", exif=exif)
    expected = np.rot90(np.round(grey / 257).astype(np.uint8), -1)
    assert np.array_equal(read_image(tmp_path / "p.png")[..., 0], expected)


def frames(count=3):
    return [Image.new("RGB", (32, 24), (80 * i, 255 - 80 * i, 10)) for i in range(count)]


def saved(path, **options):
    first, *others = frames()
    first.save(path, save_all=True, append_images=others, **options)
    return path


@pytest.mark.situation(
    "Pictures",
    "several pictures in one file: a phone's JPEG with a depth map (MPO), a TIFF of pages",
    "a photo, the first picture; whatever its suffix",
)
def test_photos_with_further_pictures_are_photos(tmp_path):
    for name, kind in {"a.jpg": "MPO", "b.mp4": "MPO", "c.tif": "TIFF", "d.jpg": "TIFF"}.items():
        path = saved(tmp_path / name, format=kind)
        assert is_photo(path), name
        assert read_image(path)[12, 16] == pytest.approx([0, 255, 10], abs=4)


def test_animations_are_no_photos_but_single_frames_are(tmp_path):
    for kind in ("GIF", "PNG", "WEBP"):
        assert not is_photo(saved(tmp_path / f"{kind}.jpg", format=kind))
        frames()[0].save(tmp_path / f"one-{kind}.mp4", format=kind)
        assert is_photo(tmp_path / f"one-{kind}.mp4")
    (tmp_path / "text.jpg").write_text("no photo")
    assert not is_photo(tmp_path / "text.jpg")
    with pytest.raises(InputError, match="no such file"):
        is_photo(tmp_path / "missing.jpg")


def box(brand: bytes, others: bytes) -> bytes:
    return (16 + len(others)).to_bytes(4, "big") + b"ftyp" + brand + bytes(4) + others + bytes(200)


@pytest.mark.skipif("HEIF" in Image.registered_extensions().values(), reason="pillow-heif is installed")
@pytest.mark.parametrize("name", ["p.heic", "p.jpg", "p.mp4", "p"])
@pytest.mark.parametrize("start", [box(b"heic", b"mif1heic"), box(b"mif1", b"miafheic"), box(b"heix", b""),
                                   box(b"msf1", b"hevc")])  # fmt: skip
@pytest.mark.situation(
    "Pictures",
    "HEIC (iPhone), also under another name, without the package pillow-heif",
    "one line that names pillow-heif, in every command",
)
def test_heic_is_known_by_its_content(name, start, tmp_path):
    (tmp_path / name).write_bytes(start)
    assert is_photo(tmp_path / name)
    with pytest.raises(InputError, match="pillow-heif") as error:
        read_image(tmp_path / name)
    assert_one_line(error, tmp_path / name)


def test_other_kinds_of_content_get_their_own_hint(tmp_path):
    for start, hint in {b"\xff\x0a" + bytes(50): "JPEG XL", b"\0\0\0\x0cJXL \r\n" + bytes(50): "JPEG XL",
                        b"II*\0" + bytes(50): "TIFF or raw", b"MM\0*" + bytes(50): "TIFF or raw",
                        b"\0\0\1\0\3\0" + bytes(50): "icon"}.items():  # fmt: skip
        (tmp_path / "p.jpg").write_bytes(start)
        with pytest.raises(InputError, match=hint):
            read_image(tmp_path / "p.jpg")
        assert is_photo(tmp_path / "p.jpg")
    for path, hint in (
        (write_video(tmp_path / "v.mp4", grey_frames(3)), "it is a video; save one of its frames"),
        (encode(tmp_path / "s.wav", tone(0.5, 16000)[None], 16000, "pcm_s16le"), "it is a sound file, not a photo"),
    ):
        with pytest.raises(InputError, match=hint):
            read_image(path)
    (tmp_path / "p.jpg").write_bytes(box(b"isom", b"avc1mp41"))  # a video
    with pytest.raises(InputError, match="not an image"):
        read_image(tmp_path / "p.jpg")


def test_animations_that_ffmpeg_does_not_decode(tmp_path):
    path = saved(tmp_path / "a.webp", duration=[40, 200, 80], lossless=True)
    seconds, pictures = zip(*read_animation(path))
    assert seconds == (0.04, 0.2, 0.08)
    assert [tuple(p[0, 0]) for p in pictures] == [(0, 255, 10), (80, 175, 10), (160, 95, 10)]
    frames()[0].save(tmp_path / "one.webp")
    assert read_animation(saved(tmp_path / "a.gif")) is None and read_animation(tmp_path / "one.webp") is None
    path.write_bytes(path.read_bytes()[:-60])
    with pytest.raises(InputError, match="damaged|not an image"):
        for _ in read_animation(path) or [read_image(path)]:
            pass
