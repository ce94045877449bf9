"""Small photos, speech and motion made from the bundled demo, and a stand-in for stage one."""

import copy
import wave
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

from shared.face_model import load_bundled
from shared.media import FPS, frame_count, read_audio
from shared.motion import Motion
from shared.photo_fit import PhotoFit
from stage1_motion.interface import SamplingOptions
from stage1_motion.postprocessing import PostProcessing

DEMO = Path(__file__).parents[2] / "assets" / "demo"
SPEECH = DEMO / "sense_and_sensibility_01_austen_64kb-0880.wav"


@lru_cache(maxsize=32)
def _portrait(size, name):
    return Image.open(DEMO / f"{name}.jpg").resize((size, size), Image.Resampling.LANCZOS)


def portrait(size=240, name="portrait_woman"):
    """A demo portrait of that size, as PIL has it."""
    return _portrait(size, name).copy()


@lru_cache(maxsize=8)
def _fitted(size, name):
    return PhotoFit.fit(np.array(portrait(size, name)))


def fitted_portrait(size=240, name="portrait_woman"):
    """The fit of a demo portrait of that size. It is made once; whoever asks gets a copy."""
    return copy.deepcopy(_fitted(size, name))


def short_speech():
    """0.4 s of speech, float32 [6400]."""
    return read_audio(SPEECH)[8000:14400]


def write_wav(path, samples, rate=16000, width=2):
    """samples: float [n] or [n, channels] in [-1, 1]."""
    samples = np.atleast_2d(np.asarray(samples, np.float64).T).T
    whole = np.round(np.clip(samples, -1, 1) * (2 ** (8 * width - 1) - 1)).astype("<i4")
    raw = whole.view(np.uint8).reshape(*whole.shape, 4)[..., :width].tobytes()
    with wave.open(str(path), "wb") as file:
        file.setnchannels(samples.shape[1])
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(raw)
    return path


def sine_motion(audio, photo=None):
    """A mouth that opens and closes three times a second and a head that nods, in the coordinates of the photo."""
    model = load_bundled()
    beat = np.sin(2 * np.pi * 3 * np.arange(frame_count(len(audio))) / FPS)[:, None].astype(np.float32)
    start = np.zeros(model.num_expression) if photo is None else photo.expression
    rotation = np.zeros(3) if photo is None else photo.rotation
    translation = np.array([0.0, -0.2, -0.3]) if photo is None else photo.translation
    return Motion(
        expression=start + 3 * (1 + beat) * model.extra["open"],
        rotation=rotation + 0.05 * beat * np.array([1, 0, 0]),
        translation=np.repeat(translation[None], len(beat), axis=0),
        face_model=model.fingerprint,
        audio=audio,
        identity=np.zeros(model.num_identity) if photo is None else photo.identity,
        source="test",
    )


def nodding_motion(frames=30):
    """Mouth opening and closing, a blink, a nodding head that comes nearer."""
    model = load_bundled()
    random = np.random.default_rng(0)
    time = np.linspace(0, 2 * np.pi, frames)
    expression = random.normal(0, 0.3, (1, model.num_expression)).repeat(frames, 0)
    expression += np.outer(7 * (1 - np.cos(2 * time)), model.extra["open"])
    expression += np.outer(4 * np.exp(-((np.arange(frames) - 20) ** 2) / 4), model.extra["blink"])
    rotation = np.stack([0.1 * np.sin(time), 0.3 * np.sin(time / 2), 0.05 * np.cos(time)], 1)
    translation = np.stack([0.05 * np.sin(time), -0.15 + 0 * time, -0.35 + 0.1 * np.cos(time)], 1)
    identity = random.normal(0, 0.7, model.num_identity)
    return Motion(expression, rotation, translation, model.fingerprint, identity=identity, source="made up")


class SineStage:
    """Stands in for `MotionPipeline`; `calls` counts calls, `last` holds the keyword arguments of the last one."""

    calls = 0
    last: dict = {}

    @classmethod
    def from_pretrained(cls, name_or_folder="bundled", *, model=None, person=None, device="cpu"):
        return cls()

    def __call__(self, audio, *, photo=None, seed=0, options=SamplingOptions(), postprocessing=PostProcessing(),
                 still=False, style=None, constraint=None, tail=None, progress=None):  # fmt: skip
        SineStage.calls += 1
        SineStage.last = {"seed": seed, "options": options, "postprocessing": postprocessing, "still": still}
        motion = sine_motion(audio, photo).scaled(pose=options.pose_scale)
        if progress:
            progress(len(motion), len(motion))
        return motion.still() if still else motion
