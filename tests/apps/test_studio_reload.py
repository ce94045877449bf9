"""A page of the studio that is loaded again in Chromium: videos, the job under way and the edit come back."""

import re

import pytest
from material import DEMO, SPEECH
from studio_browser import Timeline, generate, give, smaller, violations

sync_api = pytest.importorskip("playwright.sync_api", reason="the extra apps is missing")
pytest.importorskip("gradio", reason="the extra studio is missing")


# What gradio's page says of its connection when it is left in mid-job.
LEFT = ("BodyStreamBuffer was aborted", "Connection errored out")


def reload(page):
    page.reload()
    page.wait_for_selector("#generate", state="attached")


def made(page):
    """A small video."""
    give(page, DEMO / "portrait_woman.jpg", SPEECH)
    smaller(page)
    page.get_by_label("Seed", exact=True).fill("5")
    generate(page)


def test_a_video_comes_back_to_the_same_browser_alone(open_studio, tmp_path, pictures):
    page = open_studio()
    made(page)
    video = page.get_attribute("#results video", "src")
    reload(page)
    page.wait_for_selector(".studio-downloads")
    assert page.get_attribute("#results video", "src") == video and "seed 5" in page.inner_text("#results")
    page.wait_for_selector("#faces-said:has-text('One face')")
    page.wait_for_selector("#sound-said:has-text('3.0 seconds')")
    assert page.locator("#photo img").count() and page.get_by_label("Seed", exact=True).input_value() == "5"
    page.screenshot(path=pictures / "studio-reloaded.png", full_page=True)
    with page.expect_download() as download:
        page.click("a[data-kind=mp4]")
    download.value.save_as(tmp_path / "talk.mp4")
    assert (tmp_path / "talk.mp4").stat().st_size > 10_000
    generate(page)  # and it can be made again with what came back
    other = open_studio()
    other.wait_for_timeout(1500)
    assert "The video appears here" in other.inner_text("#results") and not other.locator("#photo img").count()
    assert other.request.get(page.url.rstrip("/") + video).status == 404


def test_a_page_that_is_loaded_twice_at_once_comes_back(open_studio):
    """The browser may hold the connection of the page in between for seconds."""
    open_studio.expected = LEFT
    page = open_studio()
    made(page)
    for _ in range(6):
        page.reload()
        page.reload()
        page.wait_for_selector(".studio-downloads")
    other = page.context.new_page()
    other.goto(page.url)
    other.wait_for_selector("#generate")
    other.wait_for_timeout(1500)
    assert "The video appears here" in other.inner_text("#results")  # a window of its own
    reload(page)
    page.wait_for_selector(".studio-downloads")


def test_a_job_shows_up_again_when_it_is_done(open_studio):
    open_studio.expected = LEFT
    page = open_studio()
    give(page, DEMO / "portrait_man.jpg", SPEECH)
    page.get_by_role("button", name="Generate", exact=True).click()
    page.wait_for_selector("#stage:has-text('Rendering')")
    reload(page)
    page.wait_for_selector("#bar progress")
    assert page.get_by_role("button", name="Generate", exact=True).is_disabled()
    assert page.get_by_role("button", name="Stop").is_enabled()
    page.wait_for_selector("#stage:has-text('Done')")
    assert page.locator(".studio-downloads a").count() == 4
    page.get_by_role("button", name="Generate", exact=True).click()
    page.wait_for_selector("#stage:has-text('Rendering')")
    reload(page)
    page.wait_for_selector("#bar progress")
    page.get_by_role("button", name="Stop").click()
    page.wait_for_selector("#stage:has-text('Stopped')")


def test_an_edit_comes_back_with_its_history(open_studio):
    open_studio.expected = LEFT
    page = open_studio()
    made(page)
    page.get_by_role("tab", name="Edit").click()
    page.wait_for_selector(".tl:not([data-empty])")
    timeline = Timeline(page)
    timeline.drawn()
    timeline.page.mouse.dblclick(*timeline.place("gap", 20, 10))
    timeline.drawn()
    timeline.select(30, 36)
    page.get_by_role("button", name="Lock", exact=True).click()
    timeline.drawn()
    keys = timeline.keys("gap")
    reload(page)
    page.wait_for_selector(".tl:not([data-empty])")  # at the tab at which it was left
    timeline = Timeline(page)
    timeline.drawn()
    assert timeline.keys("gap") == keys and timeline.shown("t.state.locks") == [[30, 36]]
    timeline.page.mouse.dblclick(*timeline.place("yaw", 50, 6))
    timeline.drawn()
    assert [frame for frame, _ in timeline.keys("yaw")] == [50]
    timeline.press("Control+z", "Control+z", "Control+z")
    timeline.drawn()
    assert timeline.keys("gap") == [] and timeline.shown("t.state.undo") is None
    assert "Undone: new key: Mouth opening" in timeline.status


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (360, "dark")])
def test_everything_is_cleared_after_a_question(open_studio, pictures, width, scheme):
    page = open_studio(width, scheme, bypass_csp=True)
    made(page)
    button = page.get_by_role("button", name="Clear everything")
    button.focus()
    page.keyboard.press("Enter")
    asked = page.get_by_role("dialog", name=re.compile("Remove your photo"))
    asked.wait_for()
    page.screenshot(path=pictures / f"studio-clear-{width}-{scheme}.png")
    assert violations(page) == []
    page.keyboard.press("Escape")
    asked.wait_for(state="detached")
    assert button.evaluate("button => button === document.activeElement") and page.locator("#results video").count()
    page.keyboard.press("Enter")
    asked.get_by_role("button", name="Remove everything").click()
    page.wait_for_selector("#results:has-text('The video appears here')")
    page.wait_for_timeout(1000)
    assert not page.locator("#photo img").count()
