"""Tiny trees in the layouts of published data sets. Videos are empty files: readers of layouts do not open them."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
from scipy.io import wavfile

from shared.face_model import load_bundled
from shared.face_model.flame import LANDMARKS
from shared.faces.face_alignment_tracker import MESH_68

SUBJECTS = ("FaceTalk_170725_00137_TA", "FaceTalk_170811_03275_TA", "FaceTalk_170731_00024_TA")
RATE = 60


def touch(folder: Path, *names: str) -> Path:
    """Create empty files, and return the folder."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def speech_meshes(seconds: float = 2.0, rate: int = RATE) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A person who opens the mouth twice a second, in FLAME's topology.

    Returns:
        Meshes [T, 5023, 3] in metres, the neutral one [5023, 3], and how far the mouth is open [T], 0 to 1.
    """
    face = load_bundled()
    identity = np.random.default_rng(3).normal(0, 0.7, face.num_identity).astype(np.float32)
    opening = (1 - np.cos(4 * np.pi * np.arange(round(seconds * rate)) / rate)) / 2
    shapes = face.vertices(identity, opening[:, None] * 12 * face.extra["open"])
    neutral = face.vertices(identity, np.zeros(face.num_expression))
    meshes = np.random.default_rng(4).uniform(-0.1, 0.1, (5023, 3)) + np.zeros((len(opening), 1, 1))
    template = meshes[0].copy()
    meshes[:, list(LANDMARKS)] = shapes[:, list(MESH_68)] / 1000 + [0, 1.5, 0]
    template[list(LANDMARKS)] = neutral[list(MESH_68)] / 1000 + [0, 1.5, 0]
    return meshes.astype(np.float32), template.astype(np.float32), opening


def sound_of(seconds: float, rate: int) -> np.ndarray:
    """A tone of 440 Hz that begins after half a second, int16 [n]."""
    time = np.arange(round(seconds * rate)) / rate
    return (np.sin(2 * np.pi * 440 * time) * (time >= 0.5) * 16000).astype(np.int16)


def write_voca_arrays(folder: Path, sentences: int = 1) -> Path:
    """VOCASET's training data: three subjects, one sentence of the last one without sound."""
    meshes, template, _ = speech_meshes()
    folder.mkdir(parents=True, exist_ok=True)
    index: dict = {}
    verts, sounds = [], {subject: {} for subject in SUBJECTS}
    for subject in SUBJECTS:
        for number in range(1, sentences + 1):
            sequence = f"sentence{number:02d}"
            index.setdefault(subject, {})[sequence] = {i: len(verts) * len(meshes) + i for i in range(len(meshes))}
            sounds[subject][sequence] = {"audio": sound_of(2, 22000), "sample_rate": 22000}
            verts.append(meshes)
    index[SUBJECTS[-1]]["sentence40"] = {0: 0}
    np.save(folder / "data_verts.npy", np.concatenate(verts))
    content = {"subj_seq_to_idx": index, "raw_audio_fixed": sounds, "templates": dict.fromkeys(SUBJECTS, template)}
    for name, value in content.items():
        (folder / f"{name}.pkl").write_bytes(pickle.dumps(value, protocol=2))
    return folder


def write_ply(path: Path, vertices: np.ndarray, kind: str = "binary_little_endian") -> Path:
    """A mesh with normals and one triangle, as scanners write it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    axes = ("x", "y", "z", "nx", "ny", "nz")
    head = ["ply", f"format {kind} 1.0", "comment a scan", f"element vertex {len(vertices)}"]
    head += [f"property float {axis}" for axis in axes]
    head += ["element face 1", "property list uchar int vertex_indices", "end_header", ""]
    values = np.concatenate([vertices, np.ones_like(vertices)], 1)
    if kind == "ascii":
        body = "\n".join(" ".join(map(repr, row.tolist())) for row in values).encode() + b"\n3 0 1 2\n"
    else:
        order = "<" if "little" in kind else ">"
        body = values.astype(f"{order}f4").tobytes() + b"\3" + np.arange(3, dtype=f"{order}i4").tobytes()
    path.write_bytes("\n".join(head).encode() + body)
    return path


def write_voca_meshes(folder: Path, missing: int | None = None) -> Path:
    """VOCASET's meshes of one sentence of one subject; the one with the number `missing` is not there."""
    meshes, template, _ = speech_meshes(1.0)
    subject = SUBJECTS[0]
    for number, mesh in enumerate(meshes, 1):
        if number != missing:
            write_ply(folder / f"unposedcleaneddata/{subject}/sentence01/sentence01.{number:06d}.ply", mesh)
    write_ply(folder / f"templates/{subject}.ply", template)
    sound = folder / f"audio/{subject}/sentence01.wav"
    sound.parent.mkdir(parents=True)
    wavfile.write(sound, 22000, sound_of(1, 22000))
    return folder
