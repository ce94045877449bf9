"""The page of `fd2talk live` in Chromium: a newcomer's call, lips and sound together, phones, the dark, a keyboard."""

import json
import re
import subprocess
import sys
import time
import wave

import numpy as np
import pytest

pytest.importorskip("aiortc", reason="the extra live is not installed")
pytest.importorskip("playwright.sync_api", reason="the extra apps is not installed")

from flashing import FlashRender, clicks, flashing, serving
from live_page import chromium_page, offsets, start, wait_for, watch
from material import DEMO, SPEECH, write_wav

from fd2talk.live.server import BUSY, LiveServer
from fd2talk.live.tracks import SOUND_RATE
from shared.errors import InputError
from shared.media import read_audio


def server_of(size=256):
    """A server of flashing portraits; `made` holds them."""

    def make(notify):
        server.made.append(flashing(FlashRender(), size=size, sound_rate=SOUND_RATE, notify=notify))
        return server.made[-1]

    server = LiveServer(make, (DEMO / "portrait_woman.jpg").read_bytes(), host="127.0.0.1")
    server.made = []
    return server


def text(page, selector):
    return page.inner_text(selector)


def test_a_newcomer_s_call_with_a_real_portrait(chromium, pictures, tmp_path):
    command = [sys.executable, "-m", "fd2talk", "live", DEMO / "portrait_woman.jpg", "--port", "0", "--size", "256"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            address = re.fullmatch(r"(http://127\.0\.0\.1:\d+/)\n", process.stdout.readline())[1]
            with chromium_page(chromium) as page:
                page.goto(address)
                page.screenshot(path=pictures / "live-before.png")
                start(page, address)
                wait_for(page, "document.querySelector('#fps').textContent !== '–'")
                page.set_input_files("#speech input[type=file]", SPEECH)
                wait_for(page, "!document.querySelector('#badge').hidden")
                assert "0880.wav, 3.0 s" in text(page, "#speech .said")
                mouths = []
                for _ in range(6):
                    mouths.append(page.evaluate(MOUTH))
                    page.wait_for_timeout(200)
                page.screenshot(path=pictures / "live-speaking.png")
                wait_for(page, "document.querySelector('#badge').hidden")
                wait_for(page, "/s/.test(document.querySelector('#delay').textContent)")
                assert text(page, "#shown") == "256 × 256"
                page.click("#start")
                wait_for(page, "document.querySelector('#status').textContent === 'The call has ended.'")
                assert page.is_disabled("#interrupt")
                assert page.problems == []
            assert np.std(mouths, axis=0).max() > 8  # grey levels: the picture moves
        finally:
            process.terminate()
            assert process.wait(60) == 143
        assert "Traceback" not in process.stderr.read()


MOUTH = """() => {
  const canvas = new OffscreenCanvas(256, 256).getContext('2d');
  canvas.drawImage(document.querySelector('#portrait'), 0, 0, 256, 256);
  const { data } = canvas.getImageData(108, 160, 40, 24);
  return Array.from({ length: data.length / 4 }, (_, i) => data[4 * i]);
}"""


def test_lips_and_sound_are_within_40_ms(chromium):
    server = server_of()
    with serving(server) as address, chromium_page(chromium) as page:
        start(page, address)
        page.wait_for_timeout(2000)  # buffers settle
        watch(page)
        server.made[0].speak(clicks(60, 0.5, SOUND_RATE))
        server.made[0].end_of_speech()
        wait_for(page, "found.clicks.length > 20 && found.flashes.length > 20")
        late, _ = offsets(page)
    assert abs(np.median(late)) <= 40, late


def test_speech_stops_for_the_button_and_for_escape(chromium, tmp_path):
    long = write_wav(tmp_path / "long.wav", np.resize(read_audio(SPEECH), 120 * 16000))
    server = server_of()
    with serving(server) as address, chromium_page(chromium) as page:
        start(page, address)
        for stop in (lambda: page.click("#interrupt"), lambda: page.keyboard.press("Escape")):
            page.set_input_files("#speech input[type=file]", long)
            wait_for(page, "!document.querySelector('#badge').hidden")
            stop()
            wait_for(page, "document.querySelector('#badge').hidden", 30)
            wait_for(page, lambda: not server.call.others)  # what was on its way has come
            assert text(page, "#status") == "Stopped." and server.made[0].queued == 0


def test_microphones_are_heard_on_both_sides(chromium):
    """Chromium's stand-in beeps once a second."""
    server = server_of()
    with serving(server) as address, chromium_page(chromium) as page:
        start(page, address)
        page.click("#listen .microphone")
        wait_for(page, "document.querySelector('#listen .microphone').ariaPressed === 'true'")
        page.click("#speech .microphone")
        wait_for(page, "!document.querySelector('#badge').hidden")
        heard = server.made[0]._maker._stream.heard
        wait_for(page, lambda: sum(map(len, heard)) > 32000 and max(np.abs(piece).max() for piece in heard) > 0.01)
        # As it is but while another program keeps the processor.
        wait_for(page, lambda: 0.3 < server.made[0].figures.delay < 0.8 and server.made[0].figures.queued < 0.5)
        page.click("#speech .microphone")
        wait_for(page, "document.querySelector('#badge').hidden")
        assert text(page, "#speech .said") == "" and page.problems == []


def test_the_other_speaker_s_file_is_listened_to_in_real_time(chromium):
    server = server_of()
    with serving(server) as address, chromium_page(chromium) as page:
        start(page, address)
        begun, pieces = time.monotonic(), server.made[0]._maker._stream.heard
        page.set_input_files("#listen input[type=file]", SPEECH)
        wait_for(page, lambda: sum(map(len, pieces)) > 0.8 * 16000)
        heard = sum(map(len, pieces))  # of 3 seconds
        assert heard / 16000 < time.monotonic() - begun + 0.5


def test_a_file_without_sound_is_named_and_another_size_is_chosen(chromium, tmp_path):
    (tmp_path / "notes.txt").write_text("no sound")
    server = server_of()
    with serving(server) as address, chromium_page(chromium) as page:
        start(page, address)
        page.set_input_files("#speech input[type=file]", tmp_path / "notes.txt")
        wait_for(page, "document.querySelector('#speech .said').classList.contains('alarm')")
        assert text(page, "#speech .said") == "notes.txt holds no sound that this browser can read."
        page.select_option("#size", "512")
        wait_for(page, "document.querySelector('#shown').textContent === '512 × 512'")
        wait_for(page, "document.querySelector('#portrait').videoWidth === 512")


WATCH_MICROPHONES = """wait => {
  const live = track => track.readyState === 'live';
  window.tracks = () => microphones.flatMap(stream => stream.getTracks()).filter(live).length;
  window.microphones = [];
  const devices = navigator.mediaDevices, ask = devices.getUserMedia.bind(devices);
  devices.getUserMedia = async wanted => {
    await new Promise(done => setTimeout(done, wait));
    const stream = await ask(wanted);
    microphones.push(stream);
    return stream;
  };
}"""


def test_no_microphone_stays_open(chromium):
    """Granted after the visitor has hung up, or clicked again; or the server takes no more."""
    server = server_of()
    with serving(server) as address, chromium_page(chromium) as page:
        page.goto(address)
        page.evaluate(WATCH_MICROPHONES, 700)
        assert page.is_disabled("#speech .microphone") and page.is_disabled("#speech input[type=file]")
        page.click("#start")
        page.click("#speech .microphone")  # waits until it is allowed
        page.click("#start")  # hangs up
        wait_for(page, "microphones.length === 1")
        wait_for(page, "tracks() === 0")
        assert text(page, "#speech .said") == ""
        assert page.get_attribute("#speech .microphone", "aria-pressed") == "false"
        page.click("#start")
        wait_for(page, "!document.querySelector('#speech').disabled")
        page.evaluate("for (let i = 0; i < 3; i++) document.querySelector('#speech .microphone').click()")
        wait_for(page, "document.querySelector('#speech .microphone').ariaPressed === 'true'")
        wait_for(page, "microphones.length === 4")
        page.wait_for_timeout(300)
        wait_for(page, "tracks() === 1")
        wait_for(page, lambda: len(server.call.others) == 1)
        page.click("#speech .microphone")
        wait_for(page, "tracks() === 0")
        server._say = _refusing
        page.click("#speech .microphone")
        wait_for(page, "document.querySelector('#speech .said').classList.contains('alarm')")
        assert text(page, "#speech .said") == "No more, please." and page.evaluate("tracks()") == 0
        assert page.get_attribute("#speech .microphone", "aria-pressed") == "false"


async def _refusing(*arguments):
    raise InputError("no more, please.")


def test_channels_that_cancel_each_other_are_heard(chromium, tmp_path):
    tone = 0.5 * np.sin(2 * np.pi * 300 * np.arange(48000) / 24000)
    with wave.open(str(tmp_path / "opposite.wav"), "wb") as file:
        file.setnchannels(2), file.setsampwidth(2), file.setframerate(24000)
        file.writeframes((np.stack([tone, -tone], 1) * 32767).astype("<i2").tobytes())
    server = server_of()
    with serving(server) as address, chromium_page(chromium) as page:
        start(page, address)
        page.set_input_files("#listen input[type=file]", tmp_path / "opposite.wav")
        wait_for(page, "document.querySelector('#listen .said').textContent.includes('2.0 s')")
        page.set_input_files("#speech input[type=file]", tmp_path / "opposite.wav")
        stream = server.made[0]._maker._stream
        wait_for(page, lambda: any(np.abs(piece).max() > 0.4 for piece in stream.heard))
        wait_for(page, lambda: np.abs(stream.sound).max() > 0.4)


def test_a_size_that_is_not_offered_is_shown_and_stopped_is_cleared(chromium):
    with serving(server_of(size=640)) as address, chromium_page(chromium) as page:
        start(page, address)
        wait_for(page, "document.querySelector('#size').value === '640'")
        page.click("#interrupt")
        wait_for(page, "document.querySelector('#status').textContent === 'Stopped.'")
        page.set_input_files("#speech input[type=file]", SPEECH)
        wait_for(page, "!document.querySelector('#badge').hidden")
        wait_for(page, "document.querySelector('#status').textContent === 'The portrait is here.'")
        page.select_option("#size", "256")
        wait_for(page, "document.querySelector('#size').value === '256'")
        wait_for(page, "document.querySelectorAll('#size option').length === 3")


def test_hanging_up_and_starting_at_once_and_reloading(chromium, monkeypatch):
    monkeypatch.setattr("fd2talk.live.server._NOTICE", 30.0)
    monkeypatch.setattr("fd2talk.live.server._LEAVE", 30.0)
    with serving(server_of()) as address, chromium_page(chromium) as page:
        start(page, address)
        page.evaluate("const button = document.querySelector('#start'); button.click(); button.click()")
        wait_for(page, "document.querySelector('#portrait').currentTime > 0.2")
        assert text(page, "#status") == "The portrait is here."
        page.reload()
        page.click("#start")
        wait_for(page, "document.querySelector('#portrait').currentTime > 0.2")


def test_a_second_page_is_told_that_somebody_is_there(chromium):
    server = server_of()
    with serving(server) as address, chromium_page(chromium) as page:
        start(page, address)
        second = page.context.new_page()
        second.goto(address)
        second.click("#start")
        wait_for(second, f"document.querySelector('#status').textContent === {json.dumps(BUSY)}")
        assert text(second, "#start") == "Start"
        page.click("#start")
        wait_for(page, lambda: server.call is None)
        second.click("#start")
        wait_for(second, "document.querySelector('#portrait').currentTime > 0.2")


@pytest.mark.parametrize("width", [360, 1000])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_phones_and_the_dark_and_a_keyboard_reaches_everything(chromium, pictures, width, scheme):
    with serving(server_of()) as address, chromium_page(chromium, width=width, scheme=scheme) as page:
        start(page, address)
        page.screenshot(path=pictures / f"live-{width}-{scheme}.png", full_page=True)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        legends = page.evaluate("[...document.querySelectorAll('legend')].map(one => one.offsetHeight)")
        assert max(legends) < 32  # on one line
        background = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (sum(map(int, re.findall(r"\d+", background)[:3])) < 384) == (scheme == "dark")
        page.focus("#start")
        reached = set()
        for _ in range(12):
            reached.add(page.evaluate("document.activeElement.id || document.activeElement.className || 'file'"))
            page.keyboard.press("Tab")
        assert {"start", "interrupt", "size", "microphone", "file"} <= reached
        unnamed = "[...document.querySelectorAll('button, input, select')].filter(one => "
        unnamed += "!(one.textContent.trim() || one.labels?.length)).length"
        assert page.evaluate(unnamed) == 0
        requests = page.evaluate("performance.getEntriesByType('resource').map(one => one.name)")
        assert all(one.startswith((address, "blob:")) for one in requests)
