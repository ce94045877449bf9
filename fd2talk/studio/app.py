"""The page: its tabs, and the application that serves it."""

from __future__ import annotations

import gradio as gr
from fastapi import FastAPI

from fd2talk.studio import edit_tab, generate_tab
from fd2talk.studio.guard import Guard
from fd2talk.studio.routes import router
from fd2talk.studio.studio import Studio

_HEAD = """<link rel="stylesheet" href="/studio/static/studio.css">
<script src="/studio/static/ask.js" defer></script>
<script src="/studio/static/studio.js" defer></script>
"""
_TITLE = """<header class="studio-title"><div><h1>fd2talk studio</h1>
<p>A photo and a recording become a talking portrait. Use photos and voices of people who agreed.</p></div>
<button type="button" id="studio-clear">Clear everything</button></header>"""

# After a reload the page opens at the tab at which it was left, which static/studio.js has stored.
_RESTORE_TAB = """() => {
  const left = sessionStorage.getItem("fd2talk-studio-tab");
  const tab = [...document.querySelectorAll("[role=tab]")].find(tab => tab.textContent.trim() === left);
  if (tab && tab.getAttribute("aria-selected") !== "true") tab.click();
}"""


def build(studio: Studio) -> gr.Blocks:
    """Build the page; each tab is a module of its own, with `build(studio, ...)`."""
    with gr.Blocks(title="fd2talk studio", analytics_enabled=False) as page:
        gr.HTML(_TITLE)
        with gr.Tabs():
            with gr.Tab("Generate"):
                generate_tab.build(studio, page)
            with gr.Tab("Edit") as tab:
                edit_tab.build(studio, tab)

        page.load(None, None, None, js=_RESTORE_TAB)
        # Gradio's page keeps its heartbeat connection, which `Guard` needs, only if there is a handler of `unload`.
        page.unload(lambda: None)
    return page


def application(studio: Studio, token: str | None = None) -> Guard:
    """The whole ASGI application: page, uploads and files behind the `Guard`.

    Set GRADIO_TEMP_DIR to `Visitors.folder` before.

    Args:
        studio: which is served.
        token: which visitors must give, or None.
    """
    page = build(studio)
    page.queue(max_size=4 * studio.limits.visitors, api_open=False)
    page.state_session_capacity = studio.limits.visitors
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.include_router(router(studio))
    gr.mount_gradio_app(
        app, page, path="/", footer_links=[], run_history=False, show_error=False, ssr_mode=False, pwa=False,
        max_file_size=studio.limits.upload_bytes, enable_monitoring=False, mcp_server=False, theme=_theme(), head=_HEAD,
    )  # fmt: skip
    return Guard(app, studio, token)


def _theme() -> gr.themes.Base:
    fonts = [gr.themes.Font("system-ui"), gr.themes.Font("sans-serif")]  # of the system: no download
    mono = [gr.themes.Font("ui-monospace"), gr.themes.Font("monospace")]
    return gr.themes.Default(
        primary_hue="indigo", secondary_hue="indigo", neutral_hue="slate", font=fonts, font_mono=mono
    )
