"""Lines of code: without blank lines, comments and docstrings.

python scripts/count_lines.py            # a row for each package, and the sum of the source
python scripts/count_lines.py --longest  # the longest files, by all their lines
"""

from __future__ import annotations

import ast
import io
import tokenize
from pathlib import Path

import click

ROOT = Path(__file__).parent.parent
SOURCE = ("fd2talk", "stage1_motion", "stage2_render", "shared")
OTHERS = ("scripts", "tests")
_NO_CODE = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENCODING}
_NO_CODE |= {tokenize.ENDMARKER}


def code_lines(text: str) -> int:
    """Return the number of lines with code in a Python file."""
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in _NO_CODE:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and ast.get_docstring(
            node
        ):
            lines -= set(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    return len(lines)


@click.command(help=__doc__)
@click.option("--longest", is_flag=True)
def main(longest: bool) -> None:
    files = {path: path.read_text(encoding="utf-8") for room in SOURCE + OTHERS for path in (ROOT / room).rglob("*.py")}
    if longest:
        sizes = sorted(
            ((text.count("\n"), path.relative_to(ROOT).as_posix()) for path, text in files.items()), reverse=True
        )
        for size, path in sizes[:20]:
            print(f"{size:6} {path}")
        return
    counts = {}
    for room in SOURCE + OTHERS:
        of_room = [text for path, text in files.items() if path.relative_to(ROOT).parts[0] == room]
        counts[room] = sum(map(code_lines, of_room))
        print(f"{counts[room]:6} {room} ({len(of_room)} files)")
    print(f"{sum(counts[room] for room in SOURCE):6} source")


if __name__ == "__main__":
    main()
