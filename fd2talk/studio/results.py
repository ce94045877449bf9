"""What the page shows of a job, as HTML: progress, preview, videos, downloads, errors."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from fd2talk.studio.controls import SHORT_TITLES
from fd2talk.studio.generation import Generated, Settings
from fd2talk.studio.studio import Studio
from fd2talk.studio.visitors import Page

_DOWNLOADS = {
    "mp4": ("Video", "MP4, with sound"),
    "glb": ("Animated face", "GLB, for Blender and the web"),
    "csv": ("Curves", "CSV, ARKit's 52"),
    "npz": ("Motion", "NPZ, for fd2talk"),
}


def alert(sentence: str) -> str:
    """An error as an ARIA alert; empty for an empty sentence."""
    if not sentence:
        return ""
    return f'<p class="studio-alert" role="alert">{escape(sentence[:1].upper() + sentence[1:])}</p>'


def notes(sentences: Sequence[str]) -> str:
    """Warnings that are about the visitor's photo or sound."""
    return "".join(f'<p class="studio-note">Note: {escape(sentence)}</p>' for sentence in sentences)


def bar(done: int, total: int, what: str) -> str:
    """A progress bar; without total an indeterminate one."""
    numbers = f'value="{done}" max="{total}"' if total else ""
    counted = f"{done} of {total} frames" if total else ""
    return (
        f'<div class="studio-bar"><progress {numbers} aria-label="{escape(what)}"></progress>'
        f"<span aria-hidden=true>{counted}</span></div>"
    )


def empty() -> str:
    """The placeholder before the first video."""
    return '<div class="studio-empty"><p>The video appears here.</p></div>'


def preview(url: str) -> str:
    """The first second, while the rest is rendered."""
    return (
        # In a div of its own: else the page would reuse this muted element for the result.
        '<figure class="studio-figure studio-preview"><div>'
        f'<video src="{escape(url)}" autoplay muted loop playsinline controls aria-label="Preview of the first second">'
        "</video></div><figcaption>The first second; the rest is being made.</figcaption></figure>"
    )


def videos(made: Sequence[Generated], page: Page, studio: Studio, coming: str = "") -> str:
    """The videos with their downloads, side by side when there are two.

    Args:
        made: one or two.
        page: whose they are.
        studio: for addresses.
        coming: HTML of the one that is being generated.
    """
    figures = "".join(_figure(one, number, page, studio) for number, one in enumerate(made, 1))
    both = '<button type="button" class="studio-both">Play both</button>' if len(made) == 2 else ""
    return f'{both}<div class="studio-results studio-of-{len(made) + bool(coming)}">{figures}{coming}</div>'


def title_of(settings: Settings) -> str:
    """A video's name in words."""
    style = settings.style
    style = "" if style is None else f", style {style.name if isinstance(style, Path) else style.replace('-', ' ')}"
    return f"{SHORT_TITLES.get(settings.model, settings.model)}{style}, seed {settings.seed}"


def _figure(made: Generated, number: int, page: Page, studio: Studio) -> str:
    title = title_of(made.settings)
    stem = f"talk-{made.settings.model}-{made.settings.seed}"
    links = "".join(
        f'<a href="{escape(studio.url(path, page))}?name={stem}.{suffix}" download="{stem}.{suffix}" '
        f'data-kind="{suffix}"><strong>{_DOWNLOADS[suffix][0]}</strong> <span>{_DOWNLOADS[suffix][1]}, '
        f"{_size(path.stat().st_size)}</span></a>"
        for suffix, path in made.files.items()
    )
    video = escape(studio.url(made.files["mp4"], page))
    return (
        f'<figure class="studio-figure"><video src="{video}" controls playsinline '
        f'preload="auto" aria-label="Video {number}: {escape(title)}"></video>'
        f"<figcaption>{escape(title)}</figcaption>"
        f'<nav class="studio-downloads" aria-label="Downloads of video {number}">{links}</nav>'
        f"<details><summary>On the command line</summary><code>{escape(made.command)}</code></details></figure>"
    )


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{max(1, round(count / 1e3))} KB"
