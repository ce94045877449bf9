"""What `mkdocs` needs beyond docs/: pages from the top of the repository, and the lists of the reference."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

import click
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

import fd2talk
from fd2talk.cli import cli

_ROOT = Path(__file__).parent.parent
# Files outside of docs/ and their place in the site. Links are written for the repository, and turned for the site.
_PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "LICENSE": "license.txt",
    "CITATION.cff": "citation.txt",
    "assets/WEIGHTS.md": "weights.md",
    "assets/demo/README.md": "demo_material.md",
}
_LINK = re.compile(r"(\]\()([^)#\s]+)((?:#[^)\s]*)?\))")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages."""
    pages = {place: (_ROOT / file).read_text(encoding="utf-8") for file, place in _PAGES.items()}
    pages["reference/cli.md"] = _command_line()
    pages["reference/fd2talk.md"] = _public_api()
    pages["reference/metrics.md"] = _metrics()
    for place, content in pages.items():
        files.append(File.generated(config, place, content=content))
    return files


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Turn links between files of the repository into links between pages."""
    place = page.file.src_uri
    source = next((file for file, to in _PAGES.items() if to == place), f"docs/{place}")

    def turned(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), match[2]))
        to = _PAGES.get(target, target.removeprefix("docs/") if target.startswith("docs/") else None)
        if to is None or "://" in match[2]:
            return match[0]
        return match[1] + posixpath.relpath(to, posixpath.dirname(place) or ".") + match[3]

    return _LINK.sub(turned, markdown)


def _command_line() -> str:
    """What `fd2talk --help` and `fd2talk COMMAND --help` print."""
    whole = click.Context(cli, info_name="fd2talk", terminal_width=88, help_option_names=["-h", "--help"])
    parts = [("# Command line", whole)]
    for name, command in cli.commands.items():
        parts.append((f"## {name}", click.Context(command, parent=whole, info_name=name)))
    return "\n\n".join(f"{heading}\n\n```text\n{context.get_help()}\n```" for heading, context in parts)


def _public_api() -> str:
    """The names of `fd2talk.__all__`, which are imported lazily, where they are defined."""
    names = [f"::: {module}.{name}" for name, module in fd2talk._MODULES.items()]
    return "\n\n".join(["# fd2talk", fd2talk.__doc__ or "", *names])


def _metrics() -> str:
    """Every module of `shared.metrics`."""
    modules = sorted(path.stem for path in (_ROOT / "shared" / "metrics").glob("[a-z]*.py"))
    return "\n\n".join(["# Metrics", *(f"::: shared.metrics.{module}" for module in modules)])
