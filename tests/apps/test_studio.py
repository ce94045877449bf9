"""The studio in a browser: what a newcomer does, from a photo to files; on a phone, by keyboard, in the dark."""

import base64
import csv
import json
import struct

import av
import numpy as np
import pytest
from material import DEMO, SPEECH, portrait, write_wav
from PIL import Image
from studio_browser import AXE, generate, give, smaller, violations

from fd2talk.output import write_video
from shared.media import read_audio
from shared.motion import Motion


@pytest.fixture(scope="module")
def group(tmp_path_factory):
    """A photo of two portraits side by side."""
    picture = Image.new("RGB", (960, 480))
    for place, name in enumerate(("portrait_man", "portrait_woman_2")):
        picture.paste(portrait(480, name), (480 * place, 0))
    path = tmp_path_factory.mktemp("group") / "group.jpg"
    picture.save(path)
    return path


def test_a_newcomers_path(open_studio, tmp_path):
    page = open_studio()
    give(page, DEMO / "portrait_woman.jpg", SPEECH)
    assert "One face found" in page.inner_text("#faces-said") and "3.0 seconds" in page.inner_text("#sound-said")
    page.get_by_role("button", name="Generate", exact=True).click()
    page.wait_for_selector(".studio-preview video")
    page.wait_for_function("document.querySelector('.studio-preview video').currentTime > 0")
    assert page.get_by_role("button", name="Stop").is_enabled()
    page.wait_for_selector(".studio-downloads")
    page.wait_for_selector("#stage:has-text('Done')")
    page.eval_on_selector("#results video", "video => video.play()")
    page.wait_for_function("document.querySelector('#results video').currentTime > 0.2")
    assert page.eval_on_selector("#results video", "video => [video.muted, Math.round(video.duration)]") == [False, 3]
    files = {}
    for kind in ("mp4", "glb", "csv", "npz"):
        with page.expect_download() as download:
            page.click(f"a[data-kind={kind}]")
        files[kind] = tmp_path / download.value.suggested_filename
        download.value.save_as(files[kind])
    assert files["mp4"].name == "talk-fd2talk-0.mp4"
    check_files(files, frames=75)


def check_files(files, frames):
    motion = Motion.load(files["npz"])
    assert len(motion) == frames
    assert np.corrcoef(motion.audio, read_audio(SPEECH)[: len(motion.audio)])[0, 1] > 0.99
    with av.open(str(files["mp4"])) as video:
        assert video.streams.audio and video.metadata["synthetic_media"] == "fd2talk"
        pictures = [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]
    assert len(pictures) == frames and pictures[0].shape == (900, 900, 3)
    assert np.abs(pictures[20].astype(int) - pictures[0]).max() > 30  # it moves
    content = files["glb"].read_bytes()
    assert struct.unpack("<4sII", content[:12])[:2] == (b"glTF", 2)
    length = struct.unpack("<I", content[12:16])[0]
    scene = json.loads(content[20 : 20 + length])
    assert len(scene["meshes"][0]["extras"]["targetNames"]) == 52 and scene["images"]
    with files["csv"].open() as file:
        rows = [*csv.DictReader(file)]
    assert len(rows) == frames and {"JawOpen", "EyeBlinkLeft", "HeadYaw"} <= set(rows[0])
    assert np.ptp([float(row["JawOpen"]) for row in rows]) > 0.05


def test_another_face_is_chosen_and_seeds_are_compared(open_studio, group, pictures):
    page = open_studio()
    give(page, group, SPEECH)
    assert "2 faces found" in page.inner_text("#faces-said")
    other = 1 - int(page.locator("#face input:checked").get_attribute("value"))
    page.get_by_label(f"Face {other}").check()
    page.wait_for_selector(f"#faces-said:has-text('Face {other} of 2 speaks')")
    page.get_by_label("Two seeds").check()
    page.get_by_label("Second seed").wait_for()
    smaller(page)
    generate(page, videos=2)
    assert page.locator("#results video").count() == 2
    assert "seed 0" in page.inner_text("#results") and "seed 1" in page.inner_text("#results")
    page.get_by_text("On the command line").first.click()
    assert f"--face-index {other}" in page.inner_text("#results code >> nth=0")
    left, right = (page.locator("#results video").nth(number).bounding_box() for number in (0, 1))
    assert left["y"] == right["y"] and right["x"] > left["x"] + left["width"]
    assert right["x"] + right["width"] - left["x"] > 1000  # across the page, which is 1180 wide
    page.wait_for_timeout(500)
    page.screenshot(path=pictures / "studio-comparison.png", full_page=True)
    page.get_by_role("button", name="Play both").click()
    page.wait_for_function("[...document.querySelectorAll('#results video')].every(video => video.currentTime > 0)")


def test_what_a_model_does_not_take_is_disabled(open_studio):
    page = open_studio()
    assert page.get_by_role("combobox", name="Speaking style").is_disabled()
    assert "takes no style; DiffPoseTalk does" in page.inner_text("#style")
    page.get_by_role("combobox", name="Motion model").click()
    page.get_by_role("option", name="DiffPoseTalk").click()
    page.wait_for_function("!document.querySelector('#style input').disabled")
    page.get_by_role("combobox", name="Speaking style").click()
    page.get_by_role("option", name="calm").wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="More settings").click()
    page.get_by_label("Keep the head still").check()
    page.wait_for_function("document.querySelector('#pose input').disabled")


def test_errors_are_said_in_the_page(open_studio, tmp_path):
    page = open_studio()
    page.get_by_role("button", name="Generate", exact=True).click()
    page.get_by_role("alert").filter(has_text="Give a photo").wait_for()
    (tmp_path / "text.jpg").write_text("this is text")
    give(page, tmp_path / "text.jpg")
    assert "it is not an image" in page.locator("#faces-said").get_by_role("alert").inner_text()
    give(page, sound=write_wav(tmp_path / "long.wav", np.zeros(16000 * 125)))
    assert "longer than 120 seconds" in page.locator("#sound-said").get_by_role("alert").inner_text()


DROP = """(block, [name, type]) => {
  const data = new DataTransfer();
  data.items.add(new File(["something"], name, { type }));
  const target = block.querySelector("button.upload-container") ?? block;
  target.dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
}"""


def test_a_wrong_type_is_said_where_it_was_given(open_studio, tmp_path):
    page = open_studio()
    page.eval_on_selector("#photo", DROP, ["letter.pdf", "application/pdf"])
    page.eval_on_selector("#speech", DROP, ["letter.pdf", "application/pdf"])
    said = page.locator(".studio-refused")
    assert said.all_inner_texts() == [
        "letter.pdf is no photo: give a picture, such as JPEG or PNG.",
        "letter.pdf is no recording: give sound, or a video with sound.",
    ]
    assert page.get_by_text("Invalid file type").count() == 0
    (tmp_path / "letter.txt").write_text("text")
    page.set_input_files("#speech input[type=file]", tmp_path / "letter.txt")
    page.get_by_role("alert").filter(has_text="letter.txt is no recording").wait_for()
    page.click("#sounds button >> nth=0")
    page.wait_for_selector("#sound-said:has-text('seconds')")
    assert said.count() == 1


@pytest.mark.parametrize("dropped", [False, True])
def test_speech_is_taken_from_a_video(open_studio, tmp_path, dropped):
    page = open_studio()
    write_video(tmp_path / "v.mp4", [np.full((64, 64, 3), 90, np.uint8)] * 50, audio=read_audio(SPEECH)[:32000])
    assert "video/*" in page.get_attribute("#speech input[type=file]", "accept")
    if dropped:
        given = DROP.replace('["something"]', "[Uint8Array.from(atob(content), byte => byte.charCodeAt(0))]")
        content = base64.b64encode((tmp_path / "v.mp4").read_bytes()).decode()
        page.eval_on_selector("#speech", given.replace("type]", "type, content]"), ["v.mp4", "video/mp4", content])
    else:
        page.set_input_files("#speech input[type=file]", tmp_path / "v.mp4")
    page.wait_for_selector("#sound-said:has-text('2.0 seconds')")
    assert page.locator(".studio-refused").count() == 0 and page.get_by_text("Invalid file type").count() == 0


def test_a_large_file_is_refused_before_it_is_sent(open_studio, tmp_path):
    page = open_studio()
    (tmp_path / "large.wav").write_bytes(bytes(53_000_000))
    sent = []
    page.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)
    page.set_input_files("#speech input[type=file]", tmp_path / "large.wav")
    page.get_by_text("exceed the maximum allowed size").first.wait_for()
    assert sent == []


def test_stop_and_begin_again(open_studio):
    page = open_studio()
    page.click("#portraits button >> nth=1")
    page.click("#sounds button >> nth=1")
    page.wait_for_selector("#faces-said:has-text('One face')")
    page.get_by_role("button", name="Generate", exact=True).dblclick()  # the second click changes nothing
    page.wait_for_selector("#stage:has-text('Rendering')")
    assert page.get_by_role("alert").count() == 0
    page.get_by_role("button", name="Stop").click()
    page.wait_for_selector("#stage:has-text('Stopped')")
    assert "The video appears here" in page.inner_text("#results")
    assert page.get_by_role("button", name="Generate", exact=True).is_enabled()


def test_a_new_video_comes_before_what_edit_renders(open_studio):
    page = open_studio()
    give(page, DEMO / "portrait_woman.jpg", SPEECH)
    generate(page)
    page.get_by_role("tab", name="Edit").click()
    page.get_by_text("endering").first.wait_for()
    page.get_by_role("tab", name="Generate").click()
    page.get_by_role("button", name="Generate", exact=True).click()
    page.wait_for_selector(".studio-preview video")
    page.wait_for_selector("#stage:has-text('Done')")
    assert page.get_by_role("alert").count() == 0


@pytest.mark.parametrize(("width", "scheme"), [(360, "dark"), (360, "light"), (1280, "dark"), (1280, "light")])
def test_everybody_can_use_it(open_studio, pictures, width, scheme):
    if not AXE.exists():
        pytest.skip("axe-core is not installed: see `make test-apps`")
    page = open_studio(width, scheme, bypass_csp=True)
    page.click("#portraits button >> nth=2")
    page.click("#sounds button >> nth=0")
    page.wait_for_selector("#faces-said:has-text('One face')")
    smaller(page)
    generate(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.screenshot(path=pictures / f"studio-{width}-{scheme}.png", full_page=True)
    assert violations(page) == []
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, dark.removeprefix("rgb(").rstrip(")").split(",")[:3])) < 200) == (scheme == "dark")


def test_the_keyboard_reaches_everything(open_studio):
    page = open_studio()
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(
            page.evaluate("""() => {
              const element = document.activeElement, block = element.closest("[id]:not([id^=html])");
              return element.dataset.name || element.id || block?.id || element.innerText;
            }""")
        )
    wanted = {"portrait_woman.jpg", "photo", "speech", "model", "seed", "compare", "more", "generate"}
    assert wanted <= reached, wanted - reached
    page.focus("#portraits button >> nth=0")
    page.keyboard.press("Enter")
    page.wait_for_selector("#faces-said:has-text('One face')")
    assert page.get_attribute("#stage [role=status]", "aria-live") == "polite"
