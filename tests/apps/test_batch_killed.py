"""`fd2talk batch` and its workers, killed at random moments: no video is lost, made twice, or half."""

import random
import time

import psutil
from batch_tables import read_report, write_table
from material import portrait, short_speech, write_wav
from stub_commands import stub_commands, wait_for
from stub_generator import FRAMES, calls, release

from shared.media import read_video

KILLS = 10


def kill_at_random(running, chance):
    """Kill the command, or one of its workers and soon the command."""
    command = psutil.Process(running.pid)
    workers = [child for child in command.children() if "spawn_main" in " ".join(child.cmdline())]
    if workers and chance.random() < 0.5:
        chance.choice(workers).kill()
        time.sleep(chance.uniform(0, 0.5))
    running.kill()


def test_killed_at_any_moment_each_video_appears_once(tmp_path, seed=0):
    chance, out = random.Random(seed), tmp_path / "out"
    names = [f"{'slow' if n % 3 == 0 else 'p'}{n}" for n in range(14)] + ["held1", "held2"]  # so that it never ends
    portrait().save(tmp_path / "photo.png")
    write_wav(tmp_path / "speech.wav", short_speech())
    rows = [f"in/{name}.png,in/a.wav" for name in names]
    manifest = write_table(tmp_path, tmp_path / "photo.png", tmp_path / "speech.wav", rows)
    seen = {}
    with stub_commands(tmp_path) as start:
        for _ in range(KILLS):
            begun, running = calls(tmp_path / "in"), start(manifest, "-o", out, "--workers", 2)
            wait_for(lambda: calls(tmp_path / "in") > begun)  # noqa: B023
            time.sleep(chance.uniform(0, 1.5))
            kill_at_random(running, chance)
            running.communicate()
            for path in out.glob("*.mp4"):  # whole, and the same file as when it was first seen
                assert len(list(read_video(path))) == FRAMES
                found = path.stat().st_ino, path.stat().st_mtime_ns
                assert seen.setdefault(path.name, found) == found
        release(tmp_path / "in")
        running = start(manifest, "-o", out, "--workers", 2)
        _, err = running.communicate(timeout=600)
    assert running.returncode == 0, err
    assert sorted(path.name for path in out.glob("**/*.mp4")) == sorted(f"{name}-a.mp4" for name in names)
    assert all((out / name).stat().st_ino == inode for name, (inode, _) in seen.items())
    states = [row["state"] for row in read_report(out).values()]
    assert states.count("kept") >= len(seen) and set(states) <= {"kept", "made"}
