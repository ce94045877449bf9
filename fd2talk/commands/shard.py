"""`fd2talk shard`: packs a prepared folder into few large files, for training on thousands of hours.

See `shared.shards` for the files that are written. Complete files are kept, so that the command resumes, and can add
features or frames for further trainings.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from fd2talk.commands.train import check_training
from fd2talk.processes import in_processes
from fd2talk.terminal import announce, say
from shared.config import Config
from shared.errors import Fd2TalkError, InputError, UsageError
from shared.face_model import load_bundled
from shared.files import new_folders, remove_empty
from shared.prepared import index_digest, read_index
from shared.shards.check import check_known
from shared.shards.clip_arrays import motion_parts, track_parts
from shared.shards.format import INDEX, PLAN, Part, pyarrow, shard_name
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
from stage2_render.training.repair.batch_sampler import PairsConfig
from stage2_render.training.repair.pair_shards import finish_pairs, pair_jobs, pairs_folder, write_pairs

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
        configs: config files of trainings whose features of speech, frames, or pairs of frames shall be there, too.
        size: of a file of motions and sound, in MB.
        quality: of frames and pairs as WebP, 1 to 100; None: without loss.
        tracks: whether to store tracked points, which trainings of face models and pairs of the repair renderer need.
        workers: number of processes; None for one per CPU core.

    Raises:
        UsageError: `out` holds something else, or cannot be written to.
        InputError: `prepared` is no prepared folder, belongs to another face model, or a config is none; a shard that
            exists is damaged.
        Fd2TalkError: pyarrow is missing, or a clip could not be read.
    """
    pyarrow()
    if is_sharded(prepared):
        raise InputError(f"{prepared}: these are shards already")
    trainings = [check_training(Config.load(path)).config for path in configs]
    features: dict[Features, None] = {}
    frames: list[FramesConfig] = []
    pairs: list[PairsConfig] = []
    for path, training in zip(configs, trainings):
        data = getattr(training, "data", None)
        if isinstance(training, ClipsConfig) and training.needs_features:
            features[_features(training)] = None
        elif isinstance(data, FramesConfig):
            frames.append(data)
        elif isinstance(data, PairsConfig):
            pairs.append(data)
        else:
            raise InputError(f"{path}: this training reads nothing that shards do not have anyway; leave out --for")
    speech = {of: features_part(of) for of in features}
    rows, model, folder = read_index(prepared), load_bundled(), Path(out)
    if not rows:
        raise InputError(f"{prepared}: the index is empty")
    plan = {"index": index_digest(prepared), "face_model": model.fingerprint, "size": size, "tracks": tracks}
    with _made(folder, plan):
        if (folder / INDEX).is_file():
            check_known(folder)
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
        parts |= dict(speech.values()) | _kept(folder, len(shards))
        numbers, space = collect_scales(out, len(shards), rows)
        place = {row["name"]: number for number, of_shard in enumerate(shards) for row in of_shard}
        portraits = [name for name in ("portraits.npz",) if (Path(prepared) / name).exists()]
        for name in portraits:
            shutil.copyfile(Path(prepared) / name, folder / name)
        for config in frames:
            _write_frames(config, prepared, folder, size, quality, workers)
        for of_repair in pairs:
            _write_pairs(of_repair, prepared, folder, size, quality, workers)
        metadata = {"face_model": model.fingerprint, "index_sha256": plan["index"], **space}
        write_index(folder, rows, place, parts, numbers, metadata, [folder / name for name in portraits])
    say(f"{len(rows)} clip{'s' if len(rows) > 1 else ''} in {len(shards)} shard{'s' if len(shards) > 1 else ''}", 0)
    announce(out)


def _features(config: ClipsConfig) -> Features:
    return Features(config.speech_encoder, config.layer, config.speech_events)


@contextmanager
def _made(folder: Path, plan: dict[str, Any]) -> Iterator[None]:
    """Make the folder, or check that what it holds was made of the same; a failure with nothing written leaves none."""
    with new_folders(folder):
        try:
            known, others = read_plan(folder), any(folder.iterdir())
        except OSError as error:
            raise UsageError(f"cannot write to {folder}: {error.strerror}") from error
        if known is None and others:
            raise UsageError(f"{folder} holds something else than shards; name another folder")
        if known is not None and known != plan:
            what = ", ".join(name for name in plan if known.get(name) != plan[name])
            raise UsageError(f"{folder} holds shards of another {what}; remove it, or name another folder")
        write_plan(folder, plan)
        try:
            yield
        except BaseException:
            remove_empty(path for path in folder.iterdir() if path.is_dir())
            if [path.name for path in folder.iterdir()] == [PLAN]:
                (folder / PLAN).unlink()
            raise


def _run(work: list[tuple[Callable[..., None], tuple]], workers: int | None, what: str) -> None:
    """Run the jobs in processes. Raises Fd2TalkError: one of them failed."""
    failed: list[Fd2TalkError] = []
    in_processes(_call, work, workers, what, "file", failed=lambda _, error: failed.append(error))
    if failed:
        raise Fd2TalkError(f"not all files were written ({failed[0]}); the next run goes on from here")


def _call(function: Callable[..., None], arguments: tuple) -> None:
    function(*arguments)


def _kept(folder: Path, shards: int) -> dict[str, Part]:
    """Arrays of features added by earlier runs. Raises InputError: one of their files is missing."""
    if not (folder / INDEX).is_file():
        return {}
    kept = {name: part for name, part in Shards(folder).parts.items() if part.group == name}
    for path in (folder / shard_name(name, number) for name in kept for number in range(shards)):
        if not path.exists():
            raise InputError(f"{path}: missing; with --for the training that reads these features it is written again")
    return kept


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


def _write_pairs(
    config: PairsConfig, prepared: str, folder: Path, size: int, quality: int | None, workers: int | None
) -> None:
    pairs = pairs_folder(config.limits, folder)
    pairs.mkdir(exist_ok=True)
    jobs = pair_jobs((prepared, config.clips, config.portraits), config.limits, quality, size << 20)
    _run([(write_pairs, (pairs, number, of_file, quality)) for number, of_file in enumerate(jobs)], workers, "pairs")
    finish_pairs(config.limits, pairs, range(len(jobs)))
