"""The timeline editor in Chromium: a motion is opened, keys are dragged and typed, and the video follows."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from material import SPEECH
from studio_browser import Timeline, violations

from fd2talk.studio.edit_state import in_seconds
from shared.media import read_video
from shared.motion import Motion
from stage1_motion.editing.request import changed_frames

sync_api = pytest.importorskip("playwright.sync_api", reason="the extra apps is missing")
pytest.importorskip("gradio", reason="the extra studio is missing")

MATH = Path(__file__).parents[2] / "fd2talk" / "studio" / "static" / "timeline_math.js"
FRAMES = 50


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_arithmetic():
    command = ["node", Path(__file__).parent / "timeline_math.mjs", MATH]
    found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert found["frames"] and found["video"] and found["up"]
    assert found["snapped"] == [0, 9, 10, 10, 11, 249] and found["borders"] == [0, 0, 1, 250]
    assert found["typed"] == [1, 1, 25, -75, 2475] and found["values"] == [0, 7.3, 20] and found["outside"] == [20, 0]
    assert found["hits"] == [[0, 10], None, [1, 10], None] and found["lanes"] == [-1, 0, 0, 1, -1]
    bent = found["bent"]
    assert bent[20] == 3 and bent[:13] == [1] * 13 and bent[28:] == [1] * 13 and bent[16] == pytest.approx(2)
    assert bent == pytest.approx(bent[::-1])
    # The time under the pointer stays where it is, and never is there less than everything to be seen.
    assert found["zoomed"] == {"pps": 200, "scroll": 180, "width": 400}
    assert found["fits"] == {"pps": 40, "scroll": 0, "width": 400} and found["closest"] == 600
    assert found["locked"] == [False, True, True, False]
    assert found["ordered"] == [[0, 10, 12], [1, 10, -5], [0, 30, 4]] and found["neighbours"] == [30, None, 10, 30]
    assert found["scales"] == ["-0.5", "0.5", "-10.5", "20", "0.3", "0"]
    reason = "0.24 s is locked: move the playhead before or behind what is locked."
    assert found["inserts"] == ["", "", reason, ""]
    assert found["amounts"] == ["0.0 mm", "4.3°", "0.50"] and found["ticks"] == [5, 1, 0.2]


def frames_of(path):
    return np.stack([*read_video(path)]).astype(int)


def test_a_key_is_dragged_and_only_frames_around_it_are_rendered(opened, tmp_path, pictures):
    timeline = opened()
    assert f"{FRAMES} of {FRAMES} frames rendered" in timeline.status
    before, motion = frames_of(timeline.download("mp4", tmp_path)), Motion.load(timeline.download("npz", tmp_path))
    timeline.page.mouse.dblclick(*timeline.place("gap", 20, 10))
    timeline.drawn()
    assert (
        timeline.keys("gap") == [[20, pytest.approx(10, abs=0.5)]]
        and "New key: Mouth opening, 0.80 s" in timeline.status
    )
    timeline.drag(timeline.place("gap", 20, timeline.keys("gap")[0][1]), timeline.place("gap", 28, 18))
    timeline.drawn()
    [[frame, value]] = timeline.keys("gap")
    assert frame == 28 and value == pytest.approx(18, abs=0.5)
    assert timeline.values("gap")[28] == pytest.approx(value, abs=0.1)
    assert re.search(rf"Move of a key: .* 1\.12 s\. 15 of {FRAMES} frames rendered", timeline.status)
    edited, after = Motion.load(timeline.download("npz", tmp_path)), frames_of(timeline.download("mp4", tmp_path))
    assert np.flatnonzero(changed_frames(motion, edited)).tolist() == [*range(21, 36)]
    apart = np.abs(after - before).max((1, 2, 3))
    assert apart[28] > 60 and apart[[*range(19), *range(38, FRAMES)]].max() < 40  # beside it the encoder's differences
    assert timeline.download("csv", tmp_path).read_text() == f"time,part,value\n1.12,lips,gap={value:g}\n"
    timeline.page.screenshot(path=pictures / "timeline-key.png")
    timeline.press("Control+z")
    timeline.drawn()
    assert timeline.keys("gap")[0][0] == 20 and "Undone: move of a key" in timeline.status
    assert f" 0 of {FRAMES} frames rendered" in timeline.status
    timeline.press("Control+Shift+Z")
    timeline.drawn()
    assert timeline.keys("gap") == [[28, value]] and f" 0 of {FRAMES} frames rendered" in timeline.status


def test_everything_by_keyboard(opened):
    timeline = opened()
    timeline.press("Home", "ArrowDown", *["."] * 10)  # the second curve, frame 10
    assert timeline.shown("[t.lane, t.frame]") == [1, 10]
    timeline.press("Enter")
    timeline.drawn()
    assert [key[0] for key in timeline.keys("smile")] == [10]
    timeline.press(*["Shift+ArrowRight"] * 5, *["Shift+ArrowUp"] * 6)
    timeline.drawn()  # they go up once, when the hand rests
    [[frame, value]] = timeline.keys("smile")
    assert (
        frame == 15
        and value == pytest.approx(0.3, abs=0.06)
        and timeline.values("smile")[15] == pytest.approx(value, abs=0.02)
    )
    assert timeline.shown("t.state.undo").startswith("move of a key: Smile, 0.60 s")
    timeline.press("Escape", *["."] * 20, "Enter")
    timeline.drawn()
    timeline.press("ArrowLeft")
    assert timeline.shown("t.chosen") == [1, 15]
    said = timeline.page.locator(".tl-said")
    sync_api.expect(said).to_have_text(re.compile(r"Smile, 0\.60 s, 0\.\d+\. Key 1 of 2\."))
    timeline.press("ArrowRight", "Delete")
    timeline.drawn()
    assert [key[0] for key in timeline.keys("smile")] == [15]
    sync_api.expect(said).to_have_text("Key deleted: Smile, 1.40 s.")
    timeline.press("Home", "[", *["."] * 5, "]", "l")
    timeline.drawn()
    assert timeline.shown("t.state.locks") == [[0, 6]]
    timeline.press("Enter")  # on a locked frame
    sync_api.expect(said).to_have_text("0.20 seconds is locked.")
    timeline.press("l")
    timeline.drawn()
    assert timeline.shown("t.state.locks") == []
    timeline.page.locator(".tl-keys summary").click()
    timeline.page.get_by_role("button", name="Delete Smile, 0.60 s").click()
    timeline.drawn()
    assert timeline.keys("smile") == []


def test_a_time_and_a_value_are_typed(opened):
    timeline = opened()
    form = timeline.page.locator(".tl-form")
    form.get_by_label("Curve").select_option("yaw")
    form.get_by_label("Time, s").fill("1")
    form.get_by_label("Degrees").fill("-8")
    form.get_by_role("button", name="Set key").click()
    timeline.drawn()
    assert timeline.keys("yaw") == [[25, -8]] and timeline.values("yaw")[25] == pytest.approx(-8, abs=0.05)
    form.get_by_label("Degrees").fill("120")
    form.get_by_role("button", name="Set key").click()
    sync_api.expect(timeline.page.locator(".tl-error")).to_have_text(
        "Head turn at 1.00 s: yaw is a number from -90 to 90, not 120.0"
    )
    assert timeline.keys("yaw") == [[25, -8]]  # the page has given up what it had expected
    form.get_by_role("button", name="Delete key").click()
    timeline.drawn()
    assert timeline.keys("yaw") == [] and timeline.error == ""


def test_locks_stay_while_a_range_is_regenerated(opened, tmp_path, pictures):
    timeline = opened()
    timeline.page.mouse.dblclick(*timeline.place("gap", 30, 12))
    timeline.drawn()
    timeline.select(20, 26)
    assert timeline.shown("t.range") == [20, 26]
    timeline.page.get_by_role("button", name="Lock", exact=True).click()
    timeline.drawn()
    before = Motion.load(timeline.download("npz", tmp_path))
    timeline.select(14, 42)
    sync_api.expect(timeline.page.locator(".tl-range input[name=from]")).to_have_value("0.56")
    timeline.page.get_by_role("button", name="Regenerate range").click()
    timeline.drawn()
    assert f"New motion in {in_seconds(14, 42)}" in timeline.status
    after = Motion.load(timeline.download("npz", tmp_path))
    moved = set(np.flatnonzero(changed_frames(before, after)))
    assert {*range(15, 20), *range(27, 41)} <= moved | {30} and moved <= {*range(14, 20), *range(26, 42)}
    assert timeline.values("gap")[30] == pytest.approx(timeline.keys("gap")[0][1], abs=0.1)
    timeline.page.screenshot(path=pictures / "timeline-regenerated.png")
    timeline.page.get_by_role("button", name="Undo").click()
    timeline.drawn()
    undone = Motion.load(timeline.download("npz", tmp_path))
    assert not changed_frames(before, undone).any()


def test_sound_is_cut_and_inserted_and_keys_behind_move_along(opened, tmp_path):
    timeline = opened()
    timeline.page.mouse.dblclick(*timeline.place("smile", 40, 0.5))
    timeline.drawn()
    timeline.select(10, 20)
    timeline.page.get_by_role("button", name="Cut out").click()
    timeline.drawn()
    assert timeline.shown("t.state.frames") == FRAMES - 10 and [key[0] for key in timeline.keys("smile")] == [30]
    timeline.press("Home", *["."] * 12)
    timeline.page.locator(".tl-new input[type=file]").set_input_files(SPEECH)
    timeline.page.wait_for_function(f"document.querySelector('.tl').timeline.state.frames === {FRAMES - 10 + 75}")
    timeline.drawn()
    assert [key[0] for key in timeline.keys("smile")] == [105]
    frames = [*read_video(timeline.download("mp4", tmp_path))]
    assert len(frames) == FRAMES - 10 + 75
    timeline.press("Control+z", "Control+z")
    timeline.drawn()
    assert timeline.shown("t.state.frames") == FRAMES and [key[0] for key in timeline.keys("smile")] == [40]


def test_a_refusal_keeps_what_was_chosen(opened, pictures):
    timeline = opened()
    page, form = timeline.page, timeline.page.locator(".tl-form")
    error, button = page.locator(".tl-error"), form.locator("[type=submit]")
    form.get_by_label("Time, s").fill("0.81")  # between two frames: the nearer one
    form.get_by_label("Millimetres").fill("9")
    sync_api.expect(button).to_have_text("Set key")
    button.click()
    timeline.drawn()
    assert timeline.keys("gap") == [[20, 9]] and timeline.shown("t.chosen") == [0, 20]
    form.get_by_label("Time, s").fill("1.6")
    sync_api.expect(button).to_have_text("Move key")
    form.get_by_label("Millimetres").fill("900")
    button.click()
    sync_api.expect(error).to_contain_text("not 900")
    assert timeline.keys("gap") == [[20, 9]] and timeline.shown("t.chosen") == [0, 20]
    form.get_by_label("Time, s").fill("9")
    form.get_by_label("Millimetres").fill("8")
    button.click()
    sync_api.expect(error).to_have_text("9.00 s lies outside the motion, which lasts 2.00 s")
    assert timeline.keys("gap") == [[20, 9]] and timeline.shown("t.chosen") == [0, 20]
    form.get_by_label("Time, s").fill("1.6")
    form.get_by_label("Millimetres").fill("8")
    button.click()
    timeline.drawn()
    assert timeline.keys("gap") == [[40, 8]] and timeline.error == ""  # moved, not one more
    form.get_by_role("button", name="Delete key").click()
    timeline.drawn()
    timeline.select(2, 10)
    video = timeline.shown("t.state.files.mp4")
    page.get_by_role("button", name="Lock", exact=True).click()
    timeline.drawn()
    assert timeline.shown("t.state.files.mp4") == video  # nothing was rendered or written for that
    timeline.select(1, 6)
    page.get_by_role("button", name="Cut out").click()
    sync_api.expect(error).to_contain_text("unlock it before you cut it out")
    assert timeline.shown("t.range") == [1, 6] and timeline.shown("t.state.frames") == FRAMES
    insert = page.get_by_role("button", name="Insert sound")
    timeline.press("Home", *["."] * 2)
    sync_api.expect(insert).to_be_enabled()  # before the lock
    timeline.press(".")
    sync_api.expect(insert).to_be_disabled()
    why = "No insert here: 0.12 s is locked: move the playhead before or behind what is locked."
    sync_api.expect(page.locator(".tl-why")).to_have_text(why)
    page.screenshot(path=pictures / "timeline-refused.png", full_page=True)
    timeline.press(*["Control+z"] * 6)
    timeline.drawn()
    assert timeline.error == "" and timeline.keys("gap") == [] and "There is nothing to undo" in timeline.status


def test_two_videos_and_a_file_keep_their_edits(open_studio, material, pictures):
    page = open_studio()
    page.set_input_files("#photo input[type=file]", material / "photo.png")
    page.wait_for_selector("#faces-said:has-text('found')")
    page.set_input_files("#speech input[type=file]", SPEECH)
    page.wait_for_selector("#sound-said:has-text('seconds')")
    page.get_by_label("Two models").check()
    made = page.locator("#stage:has-text('Done')")
    page.get_by_role("button", name="Generate", exact=True).click()
    made.wait_for()
    tabs = [page.get_by_role("tab", name=name) for name in ("Generate", "Edit")]
    tabs[1].click()
    page.wait_for_selector(".tl:not([data-empty])")
    timeline = Timeline(page)
    timeline.drawn()
    titles = page.locator("#edit-which label").all_inner_texts()
    assert len(titles) == 2 and all(title.strip().endswith("seed 0") for title in titles)
    timeline.page.mouse.dblclick(*timeline.place("gap", 20, 10))
    timeline.drawn()
    page.locator("#edit-which input").nth(1).check()
    page.wait_for_function("document.querySelector('.tl').timeline.state.editor === 2")
    timeline.drawn()
    assert timeline.keys("gap") == [] and timeline.shown("t.chosen") is None
    page.locator("#edit-which input").nth(0).check()
    page.wait_for_function("document.querySelector('.tl').timeline.state.editor === 1")
    timeline.drawn()
    assert [frame for frame, _ in timeline.keys("gap")] == [20]
    tabs[0].click()
    page.get_by_label("One video").check()
    page.get_by_role("button", name="Generate", exact=True).click()
    page.wait_for_selector("#stage:has-text('Done')", state="hidden")
    made.wait_for()
    tabs[1].click()
    page.locator("#edit-newer").get_by_text("A newer video is there").wait_for()
    assert [frame for frame, _ in timeline.keys("gap")] == [20]
    page.screenshot(path=pictures / "timeline-newer.png", full_page=True)
    timeline.press("Control+z")
    timeline.drawn()
    assert timeline.keys("gap") == []
    page.locator("#edit-which input").nth(1).check()
    page.wait_for_function("document.querySelector('.tl').timeline.state.editor === 3")
    timeline.drawn()
    sync_api.expect(page.locator("#edit-newer")).to_have_text("")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone(opened, pictures, scheme):
    timeline = opened(360, scheme=scheme, has_touch=True, is_mobile=True, device_scale_factor=2, bypass_csp=True)
    page = timeline.page
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert timeline.shown("document.querySelector('.tl canvas').width") >= 600  # sharp
    place = timeline.place("pitch", 25, 4)
    page.evaluate(
        "window.real = Object.getOwnPropertyDescriptor(Event.prototype, 'timeStamp');"
        "Object.defineProperty(Event.prototype, 'timeStamp', { configurable: true, get: () => 5000 })"
    )
    for _ in range(2):  # within no time, however long it takes
        page.touchscreen.tap(*place)
    page.evaluate("Object.defineProperty(Event.prototype, 'timeStamp', real)")
    timeline.drawn()
    [[frame, value]] = timeline.keys("pitch")
    assert frame == 25
    touch = page.context.new_cdp_session(page)

    def fingers(kind, *places):
        points = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(places)]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    start, stop = timeline.place("pitch", 25, value), timeline.place("pitch", 32, -6)
    fingers("touchStart", start)
    for share in np.linspace(0.1, 1, 8):
        fingers("touchMove", tuple(a + share * (b - a) for a, b in zip(start, stop)))
    fingers("touchEnd")
    timeline.drawn()
    assert timeline.keys("pitch") == [[32, pytest.approx(-6, abs=0.8)]]
    pps, (_, height) = timeline.shown("t.view.pps"), timeline.place("brows", 10)
    fingers("touchStart", (150, height))
    fingers("touchStart", (150, height), (210, height))
    for wide in range(10, 60, 10):
        fingers("touchMove", (150 - wide, height), (210 + wide, height))
    fingers("touchEnd")
    assert timeline.shown("t.view.pps") > 1.5 * pps
    page.get_by_role("button", name="Fit").tap()
    assert timeline.shown("t.view.pps") == pytest.approx(pps, rel=0.01)
    page.evaluate("new Promise(go => requestAnimationFrame(() => requestAnimationFrame(go)))")  # until it is painted
    ground = timeline.shown(
        "[...document.querySelector('.tl canvas').getContext('2d').getImageData(300, 1, 1, 1).data]"
    )
    assert (sum(ground[:3]) < 150) == (scheme == "dark")
    page.screenshot(path=pictures / f"timeline-360-{scheme}.png", full_page=True)
    assert violations(page, "#timeline") == []
