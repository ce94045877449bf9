"""The page: its tabs, and the server that they run in."""

from __future__ import annotations

import gradio as gr

from fd2talk.studio.studio import Studio


def build(studio: Studio) -> gr.Blocks:
    """Build the page; each tab is a module of its own, with `build(studio, ...)`."""
    from fd2talk.studio import generate_tab

    with gr.Blocks(title="fd2talk studio", analytics_enabled=False) as page:
        with gr.Tabs():
            with gr.Tab("Generate"):
                generate_tab.build(studio)
            with gr.Tab("Edit"):
                gr.Markdown("The timeline editor comes here: edit_tab.build(studio, tab).")
        page.unload(studio.left)
    return page
