"""What 1,000 and 10,000 hours of shards cost to open, hold and read: a synthetic index of full size.

    python scripts/simulate_scale.py [--hours 1000 --hours 10000] [--folder FOLDER]

The index has a row per clip, in the real format. The files of arrays are of full size too, but only `--files` of them
exist (random numbers, of the real shapes); the others are symbolic links to these, so that as many different files are
opened as there would be. In the second measurement the files that exist are dropped from the page cache before; as each
stands for many, later reads find parts of them there again, and a disk of random reads alone would be slower.

Columns: size of the index; seconds of the processor to open it for a training (clips of a split), and until it is ready
(sampling weights, 400 development clips in memory); memory of the process for that (USS, less that of imported
packages); milliseconds for the choice of a batch among all clips; windows of 64 frames that `MotionTask.batch` makes in
a second of one processor, in batches of 32 that are in the page cache; the same by the clock, one thread and two; and
by the clock where files were dropped from the cache; milliseconds of the processor that one process of N needs for its
32 of a batch of N x 32; milliseconds of the processor to check the end of a shard, as happens when it is first opened,
and gigabytes of shards of which `fd2talk shard --check` checks every byte in a second of one processor.

A second table has trainings that do not read windows of stored features: seconds of the processor until they are ready,
memory, and milliseconds of the processor for a batch of 32; of ridge regression, for 32 clips.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import click
import numpy as np
import psutil
import torch
from markdown_tables import print_head, print_row

from fd2talk.processes import in_processes
from shared.face_model import load_bundled
from shared.shards.check import check_file
from shared.shards.checksums import Checksum, check_end, checksum_of
from shared.shards.clip_arrays import CLIPS, motion_parts, track_parts
from shared.shards.format import INDEX, Part, pyarrow, shard_name, shard_ranges, write_shard
from shared.shards.index import write_columns
from shared.shards.reader import Shards
from shared.speech.encoder import SpeechEncoder
from shared.training import batches
from stage1_motion.models.diffposetalk.network import DenoiserConfig
from stage1_motion.models.diffposetalk.speech_training import SpeechAndDenoiserTask
from stage1_motion.models.fd2talk.network import MotionTransformerConfig
from stage1_motion.models.fd2talk.training import ExpressionTask
from stage1_motion.models.ridge.training import Moments, _clips
from stage1_motion.style.encoder import StyleEncoderConfig
from stage1_motion.style.training import StyleTask
from stage1_motion.training.learned_arrays import learned_parts
from stage1_motion.training.sharded_clips import open_clips
from stage1_motion.training.sharded_people import open_people

FPS, SPEECH, FEATURES = 25, "speech-simulated", 256
MINUTES_PER_PERSON = 5
BATCH, WINDOW = 32, 64
# Batches of a measurement.
COUNT = 60


def parts() -> dict[str, Part]:
    """All arrays of a clip but the pictures, by the real definitions."""
    model = load_bundled()
    found = {**motion_parts(model.num_expression, model.num_identity), **learned_parts(model.num_expression)}
    return {**found, **track_parts(), SPEECH: Part(SPEECH, "<f4", (FEATURES,))}


def write_files(folder: Path, files: int, clips: int, frames: int) -> None:
    """Write the files of arrays that exist: `clips` clips of `frames` frames in each."""
    random = np.random.default_rng(0)
    rows = {"identity": 1, "fps": 1, "gap": 1, "source": 20, "audio": frames * 640}
    for group in (CLIPS, SPEECH):
        of_group = {name: part for name, part in parts().items() if part.group == group}
        for number in range(files):

            def made_up(of: dict[str, Part] = of_group) -> Any:
                for clip in range(clips):
                    arrays = {name: noise(random, part, rows.get(name, frames)) for name, part in of.items()}
                    yield str(clip), {**arrays, "fps": np.array([float(FPS)])}

            write_shard(folder / shard_name(group, number), of_group, made_up(), {"people": []})


def noise(random: np.random.Generator, part: Part, rows: int) -> np.ndarray:
    shape = (rows, *part.shape)
    if part.dtype in ("<f4", "<f8"):
        return random.standard_normal(shape, np.float32)
    return random.integers(0, 120, shape).astype(part.dtype)


def write_simulated(folder: Path, source: Path, hours: float, files: int, clips: int, frames: int) -> None:
    """Write the index of so many hours, and the links."""
    arrow = pyarrow()
    compute = arrow.compute
    total = round(hours * 3600 * FPS / frames)
    place = np.arange(total)
    shard, within = place // clips, place % clips
    per_person = max(1, MINUTES_PER_PERSON * 60 * FPS // frames)

    def text(start: str, values: np.ndarray, end: str = "") -> Any:
        return compute.binary_join_element_wise(start, compute.cast(arrow.array(values), arrow.string()), end, "")

    person = text("person", place // per_person)
    name = compute.binary_join_element_wise(person, text("clip", place), "__")
    constants = {"start": "0", "seconds": f"{frames / FPS:g}", "frames": str(frames), "audio": "ok", "face_px": "230"}
    columns: dict[str, Any] = {
        "name": name,
        "file": compute.binary_join_element_wise(name, ".mp4", ""),
        "person": person,
    }
    columns["split"] = np.where(place % 10 == 0, "val", "train")
    columns |= {key: arrow.repeat(arrow.scalar(value), total) for key, value in constants.items()}
    random = np.random.default_rng(1)
    for key, typical in (("lip_std", 4.8), ("head_std", 0.035)):
        columns[f"@{key}"] = np.repeat(typical * random.uniform(0.7, 1.4, -(-total // per_person)), per_person)[:total]
    columns["@shard"] = shard.astype(np.int32)
    known = {path.name: checksum_of(path) for path in source.iterdir()}
    made_up = next(iter(known.values()))
    checksums: dict[str, Checksum] = {}
    for group in dict.fromkeys(part.group for part in parts().values()):
        of_group = [key for key, part in parts().items() if part.group == group]
        real = (source / shard_name(group, 0)).exists()
        ranges = shard_ranges(source / shard_name(group, 0), of_group)[1] if real else {}
        for key in of_group:
            size = parts()[key].row_bytes
            starts, sizes = ranges.get(key, (np.arange(clips) * size * frames + 400, np.full(clips, size * frames)))
            columns[f"@{key}.at"] = starts[within]
            columns[f"@{key}.rows"] = (sizes[within] // size).astype(np.int32)
        for number in range(int(shard.max()) + 1):
            name = shard_name(group, number)
            checksums[name] = known.get(shard_name(group, number % files), made_up)
            if real:
                (folder / name).symlink_to(source / shard_name(group, number % files))
    model = load_bundled()
    metadata = {"face_model": model.fingerprint, "expression_std": [1.0] * model.num_expression, "pose_std": [1.0] * 6}
    write_columns(folder, columns, parts(), {**metadata, "index_sha256": "", "checksums": checksums})


def unlike(folder: Path, total: int) -> float:
    """Size in MB of an index whose places are all different, as real ones are; parts of it are written."""
    arrow = pyarrow()
    table = arrow.parquet.read_table(folder / INDEX).slice(0, min(total, 1 << 18))
    random = np.random.default_rng(2)
    columns = {}
    for key in table.column_names:
        values = table[key]
        if key.endswith(".at"):  # clips of about this length, one behind the other in each file
            steps = random.integers(50_000, 500_000, len(values))
            values = arrow.array(np.cumsum(steps) % (256 << 20))
        elif key.endswith(".rows"):
            values = arrow.array(random.integers(50, 400, len(values)).astype(np.int32))
        columns[key] = values
    checksums = {"checksums": Shards(folder).checksums}
    with tempfile.TemporaryDirectory() as other:
        write_columns(Path(other), columns, parts(), {})
        rows = (Path(other) / INDEX).stat().st_size / len(table) * total
        write_columns(Path(other), {key: values[:0] for key, values in columns.items()}, parts(), checksums)
        return (rows + (Path(other) / INDEX).stat().st_size) / 1e6


def measure(folder: Path) -> dict[str, float]:
    """All figures of a folder; in a process of its own."""
    torch.set_num_threads(1)
    process = psutil.Process()
    load_bundled()
    before = process.memory_full_info().uss
    begun = time.process_time()
    clips = open_clips(folder, load_bundled(), SPEECH, "train")
    found: dict[str, float] = {"open": time.process_time() - begun, "clips": len(clips)}
    network = MotionTransformerConfig(clips.space.model.num_expression, FEATURES, window=WINDOW)
    task = ExpressionTask(clips, clips.space, network)
    found["ready"] = time.process_time() - begun
    found["memory"] = (process.memory_full_info().uss - before) / 1e6
    begun = time.process_time()
    for step in range(5):
        task.choose(BATCH, torch.Generator().manual_seed(step))
    found["choice"] = (time.process_time() - begun) / 5

    def draw(step: int, processes: int = 1) -> None:
        reading = batches._own.set(slice(0, None, processes))
        task.batch(torch.Generator().manual_seed(step), BATCH * processes)
        batches._own.reset(reading)

    def rate(first: int, threads: int = 1, count: int = COUNT) -> float:
        begun = time.perf_counter()
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(draw, range(first, first + count)))
        return BATCH * count / (time.perf_counter() - begun)

    drop(folder)
    found["dropped"] = rate(0, count=COUNT // 3)
    rate(0)
    begun = time.process_time()
    found["cached"] = rate(0)
    found["processor"] = BATCH * COUNT / (time.process_time() - begun)
    found["two threads"] = rate(0, threads=2)
    for processes in (8, 64):
        count = 3
        begun = time.process_time()
        for step in range(count):
            draw(step, processes)
        found[f"share of {processes}"] = (time.process_time() - begun) / count
    found["end"], found["whole"] = checks(clips.shards)
    return found


def checks(shards: Shards) -> tuple[float, float]:
    """Seconds for the end of a shard, and bytes a second where all of it is read, of the processor."""
    names = [name for name in shards.checksums if (shards.folder / name).exists()]
    chosen = [names[place] for place in np.random.default_rng(3).integers(len(names), size=500)]
    begun = time.process_time()
    for name in chosen:
        check_end(shards.folder / name, shards.checksums[name])
    end = (time.process_time() - begun) / len(chosen)
    begun = time.process_time()
    for name in names[:2]:
        if line := check_file(shards.folder / name, shards.checksums[name]):
            sys.exit(line)
    return end, sum(shards.checksums[name].bytes for name in names[:2]) / (time.process_time() - begun)


def measure_others(folder: Path) -> list[list[str]]:
    """Rows of the second table; in a process of its own."""
    torch.set_num_threads(1)
    model, encoder, process = (
        load_bundled(),
        SpeechEncoder.from_pretrained("bundled", resample="stem"),
        psutil.Process(),
    )
    rows = []

    def row(name: str, make: Callable[[], Callable[[int], object]]) -> None:
        before, begun = process.memory_full_info().uss, time.process_time()
        work = make()
        ready, memory = time.process_time() - begun, process.memory_full_info().uss - before
        work(0)
        begun = time.process_time()
        for step in range(1, 6):
            work(step)
        rows.append([name, f"{ready:.1f}", f"{memory / 1e6:.0f}", f"{200 * (time.process_time() - begun):.0f}"])

    def style() -> Callable[[int], object]:
        people, space = open_people(folder, model, "train")
        task = StyleTask(people, space, StyleEncoderConfig(model.num_expression + 6))
        return lambda step: task.batch(torch.Generator().manual_seed(step), BATCH)

    def speech() -> Callable[[int], object]:
        clips = open_clips(folder, model, None, "train")
        network = DenoiserConfig(model.num_expression + 6, encoder.size, model.num_identity, 0, frames=WINDOW)
        task = SpeechAndDenoiserTask(clips, clips.space, network, None, encoder=encoder)
        return lambda step: task.batch(torch.Generator().manual_seed(step), BATCH)

    def ridge() -> Callable[[int], object]:
        clips, _ = _clips(str(folder), model, "train")
        return lambda step: Moments(clips[BATCH * step : BATCH * (step + 1)])

    row("style encoder", style)
    row("DiffPoseTalk with its speech encoder", speech)
    row("ridge regression", ridge)
    return rows


def drop(folder: Path) -> None:
    """Take the files that exist out of the page cache."""
    for path in {file.resolve() for file in folder.glob("*.parquet") if file.is_symlink()}:
        with open(path, "rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


@click.command(help=__doc__)
@click.option("--hours", multiple=True, type=float, default=(1000, 10_000), show_default=True)
@click.option("--clip-seconds", default=8.0, show_default=True)
@click.option("--files", default=4, show_default=True, help="Files of each kind that exist.")
@click.option("--clips", default=450, show_default=True, help="Clips in a file, an hour of speech.")
@click.option("--folder", help="For what is written, 1 GB; default: a temporary one.")
def main(hours: tuple[float, ...], clip_seconds: float, files: int, clips: int, folder: str | None) -> None:
    frames = round(clip_seconds * FPS)
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        source = Path(temporary) / "files"
        source.mkdir()
        write_files(source, files, clips, frames)
        sizes(source, clips * frames / FPS / 3600)
        print_head(
            ["hours", "clips, files", "index, MB", "open, s", "ready, s", "memory, MB", "choice of a batch, ms"]
            + [
                "windows a second: of one processor",
                "by the clock",
                "two threads",
                "dropped",
                "its 32 of 8 x 32, ms",
                "of 64 x 32, ms",
                "end of a shard, ms",
                "all of it, GB/s",
            ]
        )
        others: list[list[str]] = []
        for count in hours:
            simulated = Path(temporary) / f"{count:g}"
            simulated.mkdir()
            write_simulated(simulated, source, count, files, clips, frames)
            total = round(count * 3600 * FPS / frames)
            (found,) = in_processes(measure, [(simulated,)], 1, "measuring", "folder")
            if found is None:
                sys.exit(1)
            print_row(
                [f"{count:g}", f"{total:,}, {-(-total // clips):,}", f"{unlike(simulated, total):.0f}"]
                + [f"{found[key]:.1f}" for key in ("open", "ready")]
                + [f"{found['memory']:.0f}", f"{1e3 * found['choice']:.0f}"]
                + [f"{found[key]:.0f}" for key in ("processor", "cached", "two threads", "dropped")]
                + [f"{1e3 * found[f'share of {processes}']:.0f}" for processes in (8, 64)]
                + [f"{1e3 * found['end']:.2f}", f"{found['whole'] / 1e9:.1f}"]
            )
            others += [
                [f"{count:g}", *row]
                for row in in_processes(measure_others, [(simulated,)], 1, "more", "folder")[0] or []
            ]
        print_head(["hours", "training", "ready, s", "memory, MB", "ms for 32"], "others")
        for row in others:
            print_row(row)


def sizes(source: Path, hours: float) -> None:
    """Print the bytes of an hour, of files that were written and, for tracks, by their shapes."""
    print_head(["an hour of", "MB"])
    for group in (CLIPS, SPEECH):
        print_row([group, f"{(source / shard_name(group, 0)).stat().st_size / hours / 1e6:.0f}"])
    track = sum(part.row_bytes for name, part in track_parts().items() if name != "crop")
    print_row(["tracks (by shape)", f"{track * FPS * 3600 / 1e6:.0f}"])
    print()


if __name__ == "__main__":
    main()
