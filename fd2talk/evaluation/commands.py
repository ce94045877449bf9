"""`fd2talk evaluate` as the command line calls it."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Any

from fd2talk.evaluation.runner import evaluate as run
from fd2talk.terminal import announce
from shared.errors import InputError, UsageError
from shared.media import check_input

_BILABIAL = ("B", "P", "M")


def evaluate(
    generated: tuple[str, ...],
    output: str,
    *,
    ablation: str | None,
    metrics: str | None,
    phones: str | None,
    **options: Any,
) -> None:
    """Measure what was given, or a whole ablation. Raises as `run.evaluate` and `ablation.run_ablation`."""
    if ablation:
        if generated:
            raise UsageError("--ablation says itself what is measured; give no GENERATED")
        from fd2talk.evaluation.ablation.runner import run_ablation

        run_ablation(ablation, Path(output), overwrite=options["overwrite"])
        announce(Path(output) / "ablation.md")
        return
    if not generated and not options["reference"]:
        raise UsageError("nothing to measure: give GENERATED, or --reference for the real clips alone")
    run(
        generated,
        output,
        metrics=[name.strip() for name in metrics.split(",")] if metrics else (),
        phones=read_phones(phones) if phones else None,
        command=shlex.join(["fd2talk", *sys.argv[1:]]),
        **options,
    )
    for name in ("report.md", "report.html", "report.json"):
        announce(Path(output) / name)


def read_phones(path: str) -> dict[str, tuple[float, ...]]:
    """Clip name -> seconds of the middles of its b, p and m, from JSON lines {"file", "phones": [[phone, from, to]]}.

    Raises InputError: not such a file.
    """
    try:
        lines = check_input(path).read_text(encoding="utf-8").splitlines()
    except UnicodeError:
        raise InputError(f"{path}: not an alignment, which is a text of JSON lines") from None
    moments = {}
    for number, line in enumerate(lines, 1):
        try:
            clip = json.loads(line)
            name = Path(clip["file"]).with_suffix("").as_posix().replace("/", "__")
            moments[name] = tuple((float(a) + float(b)) / 2 for phone, a, b in clip["phones"] if phone in _BILABIAL)
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path}: line {number} is not an alignment ({error})") from None
    return moments
