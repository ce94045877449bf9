"""`fd2talk batch`: makes a folder of videos, and a report, from a table of photos, recordings and options."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from fd2talk.batches.job import Job, Outcome
from fd2talk.batches.maker import Settings, VideoWriter, load_generator
from fd2talk.batches.manifest import read_defaults, read_manifest
from fd2talk.batches.plan import plan
from fd2talk.batches.report import CSV, PAGE, check_report
from fd2talk.batches.run import Team, run, shares
from fd2talk.cluster import require_address
from fd2talk.terminal import announce, say
from shared.device import require_device
from shared.errors import Fd2TalkError, InputError, UsageError
from shared.files import new_folders

if TYPE_CHECKING:
    from fd2talk.provenance.signer import Signer


def batch(
    manifest: str,
    output: str,
    *,
    workers: int | None = None,
    threads: int | None = None,
    address: str | None = None,
    config: str | None = None,
    weights: str = "bundled",
    device: str = "cpu",
    overwrite: bool = False,
    signer: Signer | None = None,
    generator: Callable[[str, str, int], VideoWriter] = load_generator,
) -> None:
    """Make the videos of a table, as many at once as there are workers.

    Args:
        manifest: the table, see `read_manifest`.
        output: folder of the videos and the report; what an earlier run made there is kept.
        workers: number of processes; None: one for each core, or for every `threads` of them.
        threads: of each; None: as many as keep every core busy.
        address: of a Ray cluster, or `local`; None: processes of this computer.
        config: YAML file with options of all rows.
        weights: `bundled`, or a folder.
        device: for the networks.
        overwrite: replace existing videos with other contents, and other files with the names of the report.
        signer: signs the videos, or None; on a cluster every machine needs its two files.
        generator: see `Settings`.

    Raises:
        UsageError, InputError: the table as a whole cannot be used, the folder cannot be written to or is in use, or
            there is no such device, weights or cluster.
        Fd2TalkError: rows failed; the others have been made.
    """
    rows = read_manifest(manifest, read_defaults(config) if config else None)
    if weights != "bundled":
        if not Path(weights).is_dir():
            raise InputError(f"{weights}: there is no such folder of weights")
        weights = str(Path(weights).resolve())
    if address is not None and find_spec("ray") is None:
        raise UsageError("fd2talk batch --address needs ray: pip install 'fd2talk[cluster]'")
    if address is not None:
        require_address(address)
    else:
        require_device(device)
        workers, threads = shares(workers, threads, device)
    out = Path(output).absolute()
    check_report(out, (manifest, config), overwrite)
    with new_folders(out):
        planned: list[Job | Outcome] = plan(rows, out, weights, signer)
        settings = Settings(str(out), "", weights, device, threads or 1, overwrite, signer, generator)
        command = shlex.join(["fd2talk", *sys.argv[1:]]) if sys.argv[1:2] == ["batch"] else ""
        summary = run(planned, settings, Team(workers, address), command=command)
    announce(Path(output) / PAGE)
    if summary.failed:
        raise Fd2TalkError(f"{summary.failed} of {summary.rows} rows failed, see {Path(output) / CSV}")
    say(summary.sentence, 0)
