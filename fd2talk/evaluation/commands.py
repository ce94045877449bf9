"""The command line's side of `fd2talk evaluate`."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any

from fd2talk.evaluation.inputs.phones import BILABIALS, read_phones, seconds_of
from fd2talk.evaluation.report.writer import FILES
from fd2talk.evaluation.runner import evaluate as run
from fd2talk.terminal import announce
from shared.errors import UsageError


def evaluate(
    generated: tuple[str, ...],
    output: str,
    *,
    ablation: str | None,
    metrics: str | None,
    phones: str | None,
    **options: Any,
) -> None:
    """Measure the generated clips, or run a whole ablation.

    Args:
        generated: rows of the report, as `runner.evaluate` takes them.
        output: folder of the report.
        ablation: YAML file of an ablation to run instead.
        metrics: metrics and families, separated by commas.
        phones: JSON lines with the times of phones.
        options: further arguments of `runner.evaluate`.

    Raises:
        UsageError: arguments that exclude each other, or nothing to measure; also as `runner.evaluate` and
            `ablation.runner.run_ablation`.
    """
    if ablation:
        if generated:
            raise UsageError("--ablation names the systems that are measured; give no GENERATED with it")
        others = {**options, "metrics": metrics, "phones": phones, "overwrite": None}
        given = [name for name, value in others.items() if value not in (None, False, (), "bundled")]
        if given:
            option = given[0].replace("_", "-")
            raise UsageError(f"--ablation says itself what is measured, and how; give no --{option} with it")
        from fd2talk.evaluation.ablation.runner import run_ablation

        run_ablation(ablation, Path(output), overwrite=options["overwrite"])
        announce(Path(output) / "ablation.md")
        return
    if not generated and not options["reference"]:
        raise UsageError("nothing to measure: give GENERATED, or --reference to measure only the real clips")
    spoken = read_phones(phones) if phones else None
    run(
        generated,
        output,
        metrics=[name.strip() for name in metrics.split(",")] if metrics else (),
        phones=None if spoken is None else {name: seconds_of(of, BILABIALS) for name, of in spoken.items()},
        command=shlex.join(["fd2talk", *sys.argv[1:]]),
        **options,
    )
    for name in FILES:
        announce(Path(output) / name)
