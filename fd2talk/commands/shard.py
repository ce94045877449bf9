"""`fd2talk shard`: a prepared folder -> few large files from which thousands of hours can be trained on.

See `shared.shards` for the files that are written. What is complete is kept, so that the command resumes, and adds the
features or frames of further trainings.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from fd2talk.commands.train import check_training
from fd2talk.processes import in_processes
from fd2talk.terminal import announce, say
from shared.config import Config
from shared.errors import Fd2TalkError, InputError, UsageError
from shared.face_model import load_bundled
from shared.prepared import index_digest, read_index
from shared.shards.clip_arrays import motion_parts, track_parts
from shared.shards.format import INDEX, Part, pyarrow
from shared.shards.index import read_plan, write_index, write_plan
from shared.shards.reader import Shards, is_sharded
from stage1_motion.dataset import ClipsConfig
from stage1_motion.training.learned_arrays import learned_parts
from stage1_motion.training.sharding import (
    Features,
    collect_scales,
    divide,
    features_part,
    write_clips,
    write_speech,
    write_tracks,
)
from stage2_render.training.frame_set import FramesConfig
from stage2_render.training.picture_shards import finish_pictures, picture_jobs, pictures_folder, write_pictures

# Bytes of a frame: motion, what is learned of it, and sound.
_FRAME_BYTES = 4 * (70 + 71) + 2 * 640


def shard(
    prepared: str,
    out: str,
    *,
    configs: tuple[str, ...] = (),
    size: int = 256,
    quality: int | None = 90,
    tracks: bool = True,
    workers: int | None = None,
) -> None:
    """Write the shards of a prepared folder that do not exist yet, then the index.

    Args:
        prepared: folder of `fd2talk prepare`.
        out: folder of the shards.
        configs: config files of trainings whose features of speech, or frames, shall be there, too.
        size: of a file of motions and sound, in MB.
        quality: of the frames as WebP, 1 to 100; None: without loss.
        tracks: whether tracked points are kept, from which face models and the repair renderer's pairs are made.
        workers: number of processes; None for one per CPU core.

    Raises:
        UsageError: `out` holds something else, or cannot be written to.
        InputError: `prepared` is no prepared folder, belongs to another face model, or a config is none.
        Fd2TalkError: pyarrow is missing, or a clip could not be read.
    """
    pyarrow()
    if is_sharded(prepared):
        raise InputError(f"{prepared}: these are shards already")
    trainings = [check_training(Config.load(path)).config for path in configs]
    features = dict.fromkeys(_features(training) for training in trainings if isinstance(training, ClipsConfig))
    frames = [training.data for training in trainings if isinstance(getattr(training, "data", None), FramesConfig)]
    for path, training in zip(configs, trainings):
        if not isinstance(training, ClipsConfig) and getattr(training, "data", None) not in frames:
            raise InputError(f"{path}: this training reads neither features of speech nor frames from shards")
    speech = {of: features_part(of) for of in features}
    rows, model, folder = read_index(prepared), load_bundled(), Path(out)
    if not rows:
        raise InputError(f"{prepared}: the index is empty")
    plan = {"index": index_digest(prepared), "face_model": model.fingerprint, "size": size, "tracks": tracks}
    _prepare_folder(folder, plan)
    shards = divide(rows, max(1, (size << 20) // _FRAME_BYTES))
    work: list[tuple[Callable[..., None], tuple]] = []
    for number, of_shard in enumerate(shards):
        job = (prepared, out, number, of_shard)
        work.append((write_clips, job))
        work += [(write_tracks, job)] if tracks else []
        work += [(write_speech, (*job, of)) for of in speech]
    _run(work, workers, "shards")
    parts = {**motion_parts(model.num_expression, model.num_identity), **learned_parts(model.num_expression)}
    parts |= track_parts() if tracks else {}
    parts |= dict(speech.values()) | _kept(folder)
    numbers, space = collect_scales(out, len(shards), rows)
    place = {row["name"]: number for number, of_shard in enumerate(shards) for row in of_shard}
    if (Path(prepared) / "portraits.npz").exists():
        shutil.copyfile(Path(prepared) / "portraits.npz", folder / "portraits.npz")
    for config in frames:
        _write_frames(config, prepared, folder, size, quality, workers)
    metadata = {"face_model": model.fingerprint, "index_sha256": plan["index"], **space}
    write_index(folder, rows, place, parts, numbers, metadata)
    say(f"{len(rows)} clip{'s' if len(rows) > 1 else ''} in {len(shards)} shard{'s' if len(shards) > 1 else ''}", 0)
    announce(out)


def _features(config: ClipsConfig) -> Features:
    return Features(config.speech_encoder, config.layer, config.speech_events)


def _prepare_folder(folder: Path, plan: dict[str, Any]) -> None:
    """Make the folder, or check that what it holds was made of the same."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        known, others = read_plan(folder), any(folder.iterdir())
    except OSError as error:
        raise UsageError(f"cannot write to {folder}: {error.strerror}") from error
    if known is None and others:
        raise UsageError(f"{folder} holds something else than shards; name another folder")
    if known is not None and known != plan:
        what = ", ".join(name for name in plan if known.get(name) != plan[name])
        raise UsageError(f"{folder} holds shards of another {what}; remove it, or name another folder")
    write_plan(folder, plan)


def _run(work: list[tuple[Callable[..., None], tuple]], workers: int | None, what: str) -> None:
    """Do the jobs in processes. Raises Fd2TalkError: one of them failed."""
    failed: list[Fd2TalkError] = []
    in_processes(_call, work, workers, what, "file", failed=lambda _, error: failed.append(error))
    if failed:
        raise Fd2TalkError(f"not all files were written ({failed[0]}); the next run goes on from here")


def _call(function: Callable[..., None], arguments: tuple) -> None:
    function(*arguments)


def _kept(folder: Path) -> dict[str, Part]:
    """Arrays of features that earlier runs have added."""
    if not (folder / INDEX).is_file():
        return {}
    return {name: part for name, part in Shards(folder).parts.items() if part.group == name}


def _write_frames(
    config: FramesConfig, prepared: str, folder: Path, size: int, quality: int | None, workers: int | None
) -> None:
    config = replace(config, prepared=prepared)
    pictures = pictures_folder(config, folder)
    pictures.mkdir(exist_ok=True)
    jobs = picture_jobs(config, quality, size << 20)
    work = [(write_pictures, (config, pictures, number, people, quality)) for number, people in enumerate(jobs)]
    _run(work, workers, "pictures")
    finish_pictures(config, pictures, range(len(jobs)))
