"""`fd2talk verify`: what a file says about where it comes from."""

from __future__ import annotations

import json

from fd2talk.provenance.manifest import Manifest
from fd2talk.provenance.marks import Marks, read_marks
from fd2talk.terminal import announce, printable

# Characters of a text out of a file.
_LONGEST = 200
# Tags that say the same as others.
_REPEATED = ("title", "comment")


def verify(file: str, *, as_json: bool, trust: str | None) -> int:
    """Print what a file carries, and return the exit code: 0 for a mark that holds, 1 for none or a broken one."""
    marks = read_marks(file, trust)
    if as_json:
        announce(json.dumps({"file": file, **marks.facts}, indent=2))
    else:
        for line in _lines(marks):
            announce(printable(f"{file}: {line}"))
    return 0 if marks.valid else 1


def _lines(marks: Marks) -> list[str]:
    lines = []
    if marks.tag:
        shown = {name: value for name, value in marks.tag.items() if name not in _REPEATED} or marks.tag
        told = "; ".join(f"{name}: {_short(value)}" for name, value in shown.items())
        signed = marks.manifest is not None and marks.manifest.intact
        lines.append(f"{marks.kind} with fd2talk's tag{'' if signed else ', which is not protected'} ({told})")
    if marks.unchecked:
        lines.append("a C2PA manifest, which is not checked: pip install 'fd2talk[provenance]'")
    if marks.manifest is not None:
        lines += _of_manifest(marks.manifest, marks.trust_asked)
    return lines or [f"{marks.kind} without any mark of where it comes from"]


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _of_manifest(manifest: Manifest, trust_asked: bool) -> list[str]:
    if not manifest.intact:
        return [f"a C2PA manifest that does not hold: {_short(problem)}" for problem in manifest.problems]
    who = _short(manifest.signer or manifest.organisation or "somebody without a name")
    organisation = _short(manifest.organisation)
    by = f" ({organisation})" if organisation and organisation != who else ""
    # What is found here comes first, then what others wrote: their words cannot look like ours.
    if manifest.trusted:
        trust = "issued by an authority that is trusted here"
    elif trust_asked:
        trust = "not issued by an authority that is trusted here"
    else:
        trust = "that is unknown here (see --trust)"
    when = f" on {_short(manifest.signed_at)}" if manifest.signed_at else ""
    lines = [f"C2PA manifest, intact, with a certificate {trust}: signed by {who}{by}{when}"]
    for action in manifest.actions:
        parts = [_short(part) for part in (action.source_type, action.agent, action.when) if part]
        lines.append(f"C2PA action {_short(action.action)}" + (f": {', '.join(parts)}" if parts else ""))
    lines += [f"C2PA original: {_short(title)}" for title in manifest.originals if title]
    problems = manifest.original_problems
    return lines + [f"the original's own C2PA manifest did not hold: {_short(text)}" for text in problems]
