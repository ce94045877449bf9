"""SyncNet against the published definitions written out, on random weights in the published layout."""

import math

import cv2
import numpy as np
import pytest
import torch

from shared.errors import InputError
from shared.metrics.mfcc import mfcc
from shared.metrics.syncnet import SyncNet, face_boxes, mouth_crops, syncnet_scores

# The convolutions of the published network: place in the sequence, (out, in, kernel...), stride, padding.
SOUND = [
    (0, (64, 1, 3, 3), (1, 1), (1, 1)),
    (4, (192, 64, 3, 3), (1, 1), (1, 1)),
    (8, (384, 192, 3, 3), (1, 1), (1, 1)),
    (11, (256, 384, 3, 3), (1, 1), (1, 1)),
    (14, (256, 256, 3, 3), (1, 1), (1, 1)),
    (18, (512, 256, 5, 4), (1, 1), (0, 0)),
]
PICTURE = [
    (0, (96, 3, 5, 7, 7), (1, 2, 2), (0, 0, 0)),
    (4, (256, 96, 1, 5, 5), (1, 2, 2), (0, 1, 1)),
    (8, (256, 256, 1, 3, 3), (1, 1, 1), (0, 1, 1)),
    (11, (256, 256, 1, 3, 3), (1, 1, 1), (0, 1, 1)),
    (14, (256, 256, 1, 3, 3), (1, 1, 1), (0, 1, 1)),
    (18, (512, 256, 1, 6, 6), (1, 1, 1), (0, 0, 0)),
]
# Pooling after the block at a place: kernel, stride, padding.
SOUND_POOLS = {0: ((1, 1), (1, 1), (0, 0)), 4: ((3, 3), (1, 2), (0, 0)), 14: ((3, 3), (2, 2), (0, 0))}
PICTURE_POOLS = {
    0: ((1, 3, 3), (1, 2, 2), (0, 0, 0)),
    4: ((1, 3, 3), (1, 2, 2), (0, 1, 1)),
    14: ((1, 3, 3), (1, 2, 2), (0, 0, 0)),
}


def published_layout() -> dict[str, tuple[int, ...]]:
    layout = {}

    def norm(name, width):
        layout.update({f"{name}.{part}": (width,) for part in ("weight", "bias", "running_mean", "running_var")})
        layout[f"{name}.num_batches_tracked"] = ()

    for stream, table in (("netcnnaud", SOUND), ("netcnnlip", PICTURE)):
        for place, shape, _, _ in table:
            layout[f"{stream}.{place}.weight"], layout[f"{stream}.{place}.bias"] = shape, shape[:1]
            norm(f"{stream}.{place + 1}", shape[0])
    for head in ("netfcaud", "netfclip"):
        layout.update({f"{head}.0.weight": (512, 512), f"{head}.0.bias": (512,)})
        layout.update({f"{head}.3.weight": (1024, 512), f"{head}.3.bias": (1024,)})
        norm(f"{head}.1", 512)
    return layout


def drawn(name: str, shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
    if name.endswith("num_batches_tracked"):
        return torch.tensor(7)
    if name.endswith("running_var") or (len(shape) == 1 and name.endswith("weight")):
        return 0.5 + torch.rand(shape, generator=generator)
    # He's spread, so that signals neither vanish nor explode; pictures of 0..255 are brought down first.
    spread = math.sqrt(2 / math.prod(shape[1:])) if len(shape) > 1 else 0.3
    return torch.randn(shape, generator=generator) * spread * (0.01 if shape[1:2] == (3,) else 1)


@pytest.fixture(scope="module")
def weights() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {name: drawn(name, shape, generator) for name, shape in published_layout().items()}


@pytest.fixture(scope="module")
def checkpoint(weights, tmp_path_factory):
    path = tmp_path_factory.mktemp("syncnet") / "syncnet_v2.model"
    torch.save(weights, path, _use_new_zipfile_serialization=False)  # as old as the published file
    return path


@pytest.fixture(scope="module")
def network(checkpoint):
    return SyncNet.load(checkpoint)


def windows_of(x, kernel, stride):
    axes = tuple(range(1, x.ndim))
    views = np.lib.stride_tricks.sliding_window_view(x, kernel, axes)
    return views[(slice(None), *(slice(None, None, s) for s in stride))]


def written_out(weights, stream, head, table, pools, x):
    """One window [C, ...] through convolutions, batch norms and linear layers as formulas in numpy, float64."""
    value = {name: tensor.double().numpy() for name, tensor in weights.items()}

    def norm(x, name):
        mean, var, scale, shift = (
            value[f"{name}.{part}"].reshape(-1, *[1] * (x.ndim - 1))
            for part in ("running_mean", "running_var", "weight", "bias")
        )
        return np.maximum((x - mean) / np.sqrt(var + 1e-5) * scale + shift, 0)

    for place, shape, stride, padding in table:
        x = np.pad(x, [(0, 0), *((p, p) for p in padding)])
        views = windows_of(x, shape[2:], stride)  # [C, positions..., kernel...]
        dimensions = len(padding)
        inner = [0, *range(1 + dimensions, 1 + 2 * dimensions)]
        x = np.tensordot(value[f"{stream}.{place}.weight"], views, (list(range(1, 2 + dimensions)), inner))
        x = norm(x + value[f"{stream}.{place}.bias"].reshape(-1, *[1] * dimensions), f"{stream}.{place + 1}")
        if place in pools:
            kernel, stride, padding = pools[place]
            x = np.pad(x, [(0, 0), *((p, p) for p in padding)], constant_values=-np.inf)
            x = windows_of(x, kernel, stride).max(tuple(range(-dimensions, 0)))
    x = norm(value[f"{head}.0.weight"] @ x.reshape(512) + value[f"{head}.0.bias"], f"{head}.1")
    return value[f"{head}.3.weight"] @ x + value[f"{head}.3.bias"]


def clip(frames: int = 24, seed: int = 0):
    """Frames that change, a face that moves over the frame's edge, and sound that changes."""
    rng = np.random.default_rng(seed)
    pictures = np.stack(
        [cv2.resize(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8), (160, 120)) for _ in range(frames)]
    )
    face = rng.uniform(0, 1, (478, 3)) * [60, 80, 10] + [90, 15, 0]
    sound = rng.normal(size=frames * 640 + 300) * 0.1 * np.repeat(rng.uniform(0.05, 1, frames + 1), 640)[:-340]
    return pictures, face + rng.normal(size=(frames, 1, 3)) * 3, sound.astype(np.float32)


def test_names_and_shapes_are_the_published_ones(network):
    assert {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()} == published_layout()


def test_embeddings_against_formulas(network, weights):
    rng = np.random.default_rng(1)
    pictures = rng.integers(0, 256, (6, 224, 224, 3), dtype=np.uint8)
    coefficients = rng.normal(size=(25, 13)) * 10
    seen, heard = network.embed_video(pictures), network.embed_audio(coefficients)
    assert seen.shape == heard.shape == (2, 1024)
    window = pictures[1:6].astype(float).transpose(3, 0, 1, 2)
    expected = written_out(weights, "netcnnlip", "netfclip", PICTURE, PICTURE_POOLS, window)
    assert np.abs(seen[1] - expected).max() < 1e-4 * np.abs(expected).max()
    window = coefficients[4:24].T[None]
    expected = written_out(weights, "netcnnaud", "netfcaud", SOUND, SOUND_POOLS, window)
    assert np.abs(heard[1] - expected).max() < 1e-4 * np.abs(expected).max()


def test_checkpoints_without_counters_load(weights, network, tmp_path):
    path = tmp_path / "older.model"
    torch.save({name: tensor for name, tensor in weights.items() if "num_batches" not in name}, path)
    assert torch.equal(SyncNet.load(path).netfclip[3].weight, network.netfclip[3].weight)


def wrong_files(weights):
    lacking = {name: tensor for name, tensor in weights.items() if name != "netcnnlip.8.bias"}
    wider = {**weights, "netfcaud.3.weight": torch.zeros(256, 512)}
    return {"lacking": lacking, "wider": wider, "list": [1, 2], "more": {**weights, "head.weight": torch.zeros(1)},
            "numbers": {name: 1 for name in weights}, "module": torch.nn.Linear(1, 1)}  # fmt: skip


@pytest.mark.parametrize("kind", ["lacking", "wider", "list", "more", "numbers", "module"])
def test_other_checkpoints_are_refused(weights, tmp_path, kind):
    path = tmp_path / "wrong.model"
    torch.save(wrong_files(weights)[kind], path)
    with pytest.raises(InputError, match="wrong.model: not (the weights of SyncNet|a PyTorch file)") as caught:
        SyncNet.load(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"no weights", b"PK\x03\x04broken", bytes(range(256)) * 8, None])
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "wrong.model"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match="wrong.model") as caught:
        SyncNet.load(path)
    assert "\n" not in str(caught.value)


def test_box_is_the_mesh_with_a_forehead():
    points = np.zeros((2, 478, 3))
    points[:, :468] = np.random.default_rng(0).uniform(0, 1, (468, 3))
    points[:, 0, :2], points[:, 1, :2], points[:, 468:] = (-10, -50), (30, 50), 900  # irises do not count
    assert face_boxes(points)[1].tolist() == [-10, -64, 30, 50]


def crops_written_out(frames, landmarks):
    """The published cropping on `face_boxes`, with a frame that is padded far enough for any face."""
    boxes = face_boxes(landmarks).tolist()
    track = [(max(b - t, r - l) / 2, (l + r) / 2, (t + b) / 2) for l, t, r, b in boxes]
    smooth = [
        [sorted(track[n][k] if 0 <= n < len(track) else 0.0 for n in range(i - 6, i + 7))[6] for k in range(3)]
        for i in range(len(track))
    ]
    generated = []
    for frame, (bs, x, y) in zip(frames, smooth):
        pad = int(bs * 1.8)
        padded = np.pad(frame, ((pad, pad), (pad, pad), (0, 0)), constant_values=110)
        my, mx = y + pad, x + pad
        face = padded[int(my - bs) : int(my + bs * 1.8), int(mx - bs * 1.4) : int(mx + bs * 1.4)]
        generated.append(cv2.resize(face[:, :, [2, 1, 0]], (224, 224)))
    return np.stack(generated)


def test_crops_against_the_published_cropping():
    frames, landmarks, _ = clip()
    generated = np.stack(list(mouth_crops(iter(frames), landmarks)))
    assert generated.dtype == np.uint8 and np.array_equal(generated, crops_written_out(frames, landmarks))
    assert (generated == 110).all(-1).any()  # the face reaches beyond the frame, where it is grey


def test_a_face_outside_the_frame_is_grey():
    frames, landmarks, _ = clip(14)
    far = list(mouth_crops(frames, landmarks + [10000, 0, 0]))
    assert len(far) == 14 and all((crop == 110).all() for crop in far)


def test_scores_against_the_protocol_written_out(network):
    frames, landmarks, sound = clip(24)
    crops = crops_written_out(frames, landmarks)
    pictures = torch.from_numpy(crops.astype(np.float32)).permute(3, 0, 1, 2)
    heard = torch.from_numpy(mfcc(np.round(sound.astype(np.float64) * 32768)).T.astype(np.float32))
    with torch.no_grad():
        seen = [network.netfclip(network.netcnnlip(pictures[None, :, i : i + 5]).flatten(1))[0] for i in range(19)]
        said = [
            network.netfcaud(network.netcnnaud(heard[None, None, :, 4 * i : 4 * i + 20]).flatten(1))[0]
            for i in range(19)
        ]
    curve = []
    for late in range(-15, 16):
        away = [seen[i] - (said[i - late] if 0 <= i - late < 19 else 0) for i in range(19)]
        curve.append(sum(float(a.double().norm()) for a in away) / 19)
    scores = syncnet_scores(network, iter(frames), landmarks, sound)
    assert np.abs(scores.curve - curve).max() < 1e-4 * max(curve)
    assert scores.distance == pytest.approx(min(curve), rel=1e-4)
    assert scores.confidence == pytest.approx(sorted(curve)[15] - min(curve), abs=1e-4 * max(curve))
    assert scores.offset == np.argmin(curve) - 15


class Loudness:
    """Stands for a trained network: it sees how bright, and hears how loud, each of a window's five frames is."""

    def embed_video(self, crops):
        bright = crops.mean((1, 2, 3)) / 255
        return np.stack([bright[i : i + 5] for i in range(len(crops) - 4)])

    def embed_audio(self, coefficients):
        loud = (coefficients[:, 0] - 11.4) / 9.2  # of the logarithms of energy below, soft is 0 and loud is 1
        return np.stack([loud[i : i + 20 : 4] for i in range(0, len(coefficients) - 19, 4)])


@pytest.mark.parametrize("late", [-12, -5, -1, 0, 1, 3, 12])
def test_picture_and_sound_of_one_moment_meet(late):
    rng = np.random.default_rng(0)
    loud = rng.uniform(0, 1, 90) < 0.5
    tone = np.sin(np.arange(90 * 640) * 0.3) * np.repeat(np.where(loud, 0.3, 0.003), 640)
    shown = np.roll(loud, late)
    pictures = np.broadcast_to(np.where(shown, 255, 0).astype(np.uint8)[:, None, None, None], (90, 80, 80, 3))
    face = rng.uniform(30, 50, (478, 3))
    scores = syncnet_scores(Loudness(), pictures, np.repeat(face[None], 90, 0), tone)
    assert scores.offset == late
    assert scores.confidence > 0.2


@pytest.mark.parametrize("late", [-15, -4, 2, 9])
def test_a_sound_that_is_moved_by_frames_moves_the_offset_by_as_many(late):
    rng = np.random.default_rng(1)
    loud = rng.uniform(0, 1, 150) < 0.5
    tone = np.sin(np.arange(150 * 640) * 0.3) * np.repeat(np.where(loud, 0.3, 0.003), 640)
    pictures = np.broadcast_to(np.where(loud, 255, 0).astype(np.uint8)[:, None, None, None], (150, 80, 80, 3))[20:110]
    landmarks = np.repeat(rng.uniform(30, 50, (478, 3))[None], 90, 0)
    in_time = syncnet_scores(Loudness(), pictures, landmarks, tone[20 * 640 : 110 * 640])
    moved = syncnet_scores(Loudness(), pictures, landmarks, tone[(20 - late) * 640 : (110 - late) * 640])
    assert in_time.offset == 0 and moved.offset == -late  # a late sound makes the picture early
    assert moved.confidence > 0.2


def test_only_a_few_frames_are_held():
    frames, landmarks, sound = clip(40)
    asked, embedded = [], []

    def stream():
        for index, frame in enumerate(frames):
            asked.append(index)
            yield frame

    class Watched(Loudness):
        def embed_video(self, crops):
            embedded.append((len(asked), len(crops)))
            return super().embed_video(crops)

    syncnet_scores(Watched(), stream(), landmarks, sound)
    assert embedded == [(20, 20), (36, 20), (39, 7)]  # 35 windows of 39 frames


def test_the_shorter_of_picture_and_sound_counts():
    frames, landmarks, sound = clip(40)
    both = syncnet_scores(Loudness(), frames[:30], landmarks[:30], sound[: 30 * 640])
    assert np.array_equal(syncnet_scores(Loudness(), frames, landmarks[:30], sound).curve, both.curve)
    less_sound = syncnet_scores(Loudness(), frames, np.repeat(landmarks[:1], 40, 0), sound[: 30 * 640])
    less_picture = syncnet_scores(Loudness(), frames[:30], np.repeat(landmarks[:1], 40, 0), sound[: 30 * 640])
    assert np.array_equal(less_sound.curve, less_picture.curve)


def test_what_cannot_be_scored_is_refused():
    frames, landmarks, sound = clip(24)
    broken = landmarks.copy()
    broken[3, 5, 0] = np.nan
    refused = {
        "silent": (frames, landmarks, np.zeros_like(sound)),
        "not finite": (frames, landmarks, np.where(np.arange(len(sound)) == 9000, np.nan, sound)),
        "needs 21 frames": (frames[:20], landmarks[:20], sound),
        "the clip has 20": (frames, landmarks, sound[: 21 * 640 - 1]),
        "the clip has 0": (frames, landmarks, sound[:0]),
        "fewer frames": (frames[:22], landmarks, sound),
        "has fewer frames": (frames[:0], landmarks, sound),
        "every frame": (frames, broken, sound),
        "face's landmarks": (frames, landmarks[:, :68], sound),
        "too small": (frames, landmarks / 100, sound),
    }
    for reason, arguments in refused.items():
        with pytest.raises(InputError, match=reason) as caught:
            syncnet_scores(Loudness(), *arguments)
        assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="more frames than its 20 sets"):
        list(mouth_crops(frames, landmarks[:20]))
    with pytest.raises(InputError, match="needs 13 frames"):
        mouth_crops(frames, landmarks[:12])
