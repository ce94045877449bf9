"""Recordings of two tones, for the training of the speech encoder."""

import zlib

import numpy as np

from shared.speech.training.recordings import Recording


def made_up_recordings(count: int = 26) -> list[Recording]:
    """Two 'phones', a low and a high tone, that the 'teacher' and the 'mouth' follow."""
    generator = np.random.default_rng(0)
    recordings = []
    for index in range(count):
        states = np.repeat(generator.integers(0, 2, 20), 4)  # 25 Hz, 3.2 s
        pitch = np.repeat(np.where(states, 900, 300), 640)
        audio = np.sin(2 * np.pi * np.cumsum(pitch) / 16000) + 0.01 * generator.standard_normal(len(pitch))
        teacher = np.stack([states, 1 - states, states * 2.0], 1).astype(np.float16)
        recordings.append(
            Recording(
                name=f"r{index}",
                kind="clips" if index % 2 else "speech",
                person=f"p{index}",
                split="train",
                audio=(8000 * audio).astype(np.int16),
                teacher=teacher,
                phones=np.repeat(1 + states, 4).astype(np.int8),
                mouth=np.stack([2.0 * states - 1] * 3, 1).astype(np.float32) if index % 2 else None,
            )
        )
    assert any(zlib.crc32(r.person.encode()) % 12 == 0 for r in recordings)
    return recordings
