"""The timeline's buttons beside the curves, in Chromium: an edit is closed, a style chosen, sound recorded."""

import re
import time

import numpy as np
import pytest
from material import DEMO, SPEECH
from studio_browser import Timeline, generate, give, smaller, violations

from shared.media import read_audio
from shared.motion import Motion
from stage1_motion.editing.request import changed_frames

sync_api = pytest.importorskip("playwright.sync_api", reason="the extra apps is missing")
pytest.importorskip("gradio", reason="the extra studio is missing")

FRAMES = 50


@pytest.mark.parametrize(("width", "scheme"), [(1280, "dark"), (360, "light")])
def test_an_edit_is_closed_after_a_question(opened, tmp_path, pictures, width, scheme):
    timeline = opened(width, scheme=scheme, bypass_csp=True)
    page = timeline.page
    close = page.get_by_role("button", name="Close edit")
    asked = page.get_by_role("dialog", name="Close this edit? Its changes were not downloaded: they would be lost.")
    timeline.page.mouse.dblclick(*timeline.place("gap", 20, 10))
    timeline.drawn()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    close.focus()
    page.keyboard.press("Enter")
    asked.wait_for()
    page.screenshot(path=pictures / f"timeline-close-{width}-{scheme}.png")
    assert violations(page) == []
    page.keyboard.press("Escape")
    asked.wait_for(state="detached")
    assert close.evaluate("button => button === document.activeElement")
    assert [frame for frame, _ in timeline.keys("gap")] == [20]
    timeline.download("mp4", tmp_path)
    page.keyboard.press("Enter") if close.evaluate("button => button === document.activeElement") else close.click()
    hint = page.locator(".tl-hint")  # nothing is lost by now: it closes at once
    hint.wait_for()
    assert asked.count() == 0
    said = "Closed: motion.npz. Generate a video in the first tab, or open a motion file below."
    sync_api.expect(hint).to_have_text(said)
    assert hint.evaluate("hint => hint === document.activeElement")
    sync_api.expect(page.locator("#edit-which")).not_to_be_visible()
    page.locator("#edit-open-button").click()  # the files are still in the form
    page.wait_for_selector(".tl:not([data-empty])")
    timeline.drawn()
    assert timeline.keys("gap") == [] and timeline.shown("t.state.undo") is None
    close.click()  # nor is anything lost of what was not changed
    hint.wait_for()


def test_a_closed_video_of_the_other_tab_can_be_chosen_again(open_studio):
    page = open_studio()
    give(page, DEMO / "portrait_woman.jpg", SPEECH)
    smaller(page)
    page.get_by_label("Two seeds").check()
    generate(page, videos=2)
    page.get_by_role("tab", name="Edit").click()
    page.wait_for_selector(".tl:not([data-empty])")
    timeline = Timeline(page)
    timeline.drawn()
    timeline.page.mouse.dblclick(*timeline.place("gap", 20, 10))
    timeline.drawn()
    page.locator("#edit-which input").nth(1).check()
    page.wait_for_function("document.querySelector('.tl').timeline.state.editor === 2")
    page.get_by_role("button", name="Close edit").click()  # while it is rendered
    page.wait_for_function("document.querySelector('.tl').timeline.state.editor === 1")  # the one before is shown
    timeline.drawn()
    assert [frame for frame, _ in timeline.keys("gap")] == [20] and "Closed: " in timeline.status
    sync_api.expect(page.locator("#edit-which input").nth(0)).to_be_checked()
    page.get_by_role("button", name="Close edit").click()
    page.get_by_role("button", name="Close without downloading").click()
    page.locator(".tl-hint").wait_for()
    sync_api.expect(page.locator("#edit-which input")).to_have_count(2)
    sync_api.expect(page.locator("#edit-which input:checked")).to_have_count(0)
    page.locator("#edit-which input").nth(0).check()
    page.wait_for_selector(".tl:not([data-empty])")
    timeline.drawn()
    assert timeline.keys("gap") == []


def test_a_style_is_chosen_for_new_motion(opened, tmp_path):
    timeline = opened()
    page = timeline.page
    panel = page.locator(".tl-new")
    style, model = panel.get_by_label("Style"), panel.get_by_label("Model")
    sync_api.expect(style).to_be_disabled()
    assert style.locator("option").all_inner_texts() == ["Takes none"]
    model.select_option("diffposetalk")
    sync_api.expect(style).to_be_enabled()
    assert style.input_value() == "" and style.locator("option").first.inner_text() == "As before"
    made = {}
    for name in ("calm", "lively"):
        style.select_option(name)
        timeline.drawn()
        assert timeline.shown("t.state.style") == name
        page.get_by_role("button", name="Regenerate all").click()
        timeline.drawn()
        assert f", style {name}" in timeline.status
        made[name] = Motion.load(timeline.download("npz", tmp_path))
        timeline.press("Control+z")
        timeline.drawn()
    assert changed_frames(made["calm"], made["lively"]).sum() > 40
    model.select_option("fd2talk")
    sync_api.expect(style).to_be_disabled()


def test_sound_is_recorded_and_inserted(opened, tmp_path, pictures):
    """Chromium's microphone, which is none, beeps once a second."""
    timeline = opened()
    page = timeline.page
    button = page.locator("[data-do=record]")
    discard = page.get_by_role("button", name="Discard")
    timeline.press("Home", *["."] * 12)
    button.click()
    sync_api.expect(button).to_have_text("Stop and insert")
    sync_api.expect(page.locator(".tl-said")).to_have_text("Recording. Stop and insert, or discard.")
    discard.click()
    sync_api.expect(button).to_have_text("Record sound")
    time.sleep(1)
    assert timeline.shown("t.state.frames") == FRAMES and not discard.is_visible()
    button.focus()
    page.keyboard.press("Enter")
    sync_api.expect(page.locator(".tl-recorded")).to_have_text(re.compile("2 s"))
    page.screenshot(path=pictures / "timeline-recording.png", full_page=True)
    page.keyboard.press("Enter")
    page.wait_for_function(f"document.querySelector('.tl').timeline.state.frames > {FRAMES + 25}")
    timeline.drawn()
    longer = timeline.shown("t.state.frames") - FRAMES
    assert 25 < longer < 250 and re.search(r"Insert of \d\.\d+ s at 0\.48 s", timeline.status)
    heard = read_audio(timeline.download("mp4", tmp_path))
    beeps = heard[12 * 640 : (12 + longer) * 640]
    assert len(heard) // 640 == FRAMES + longer and np.abs(beeps).max() > 0.1
    assert np.corrcoef(heard[: 11 * 640], read_audio(SPEECH)[: 11 * 640])[0, 1] > 0.9
