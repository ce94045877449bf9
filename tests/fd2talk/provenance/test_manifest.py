"""Whatever is done to a signed video is noticed."""

import av
import numpy as np
import pytest

pytest.importorskip("c2pa", reason="checking a manifest needs the extra provenance")

from certificates import Authority  # noqa: E402

from fd2talk.provenance.manifest import has_box, read_manifest  # noqa: E402


def boxes(data):
    """Kind, place and size of the boxes of an MP4 file."""
    place = 0
    while place < len(data):
        size = int.from_bytes(data[place : place + 4], "big")
        yield data[place + 4 : place + 8], place, size
        place += size


def without_manifest(data):
    """As somebody would cut it out: `free` in its place, so that offsets stay right."""
    for kind, place, size in boxes(data):
        if kind == b"uuid":
            return data[: place + 4] + b"free" + bytes(size - 8) + data[place + size :]
    raise AssertionError("no manifest")


def test_a_changed_byte(signed, tmp_path):
    data = bytearray(signed.read_bytes())
    (place,) = [place for kind, place, size in boxes(bytes(data)) if kind == b"mdat"]
    data[place + 1000] ^= 1
    (tmp_path / "changed.mp4").write_bytes(data)
    found = read_manifest(tmp_path / "changed.mp4")
    assert not found.intact and "bmffHash" in " ".join(found.problems)


def test_a_changed_tag(signed, tmp_path):
    data = signed.read_bytes()
    assert data.count(b"fd2talk, seed 7") == 1
    (tmp_path / "changed.mp4").write_bytes(data.replace(b"fd2talk, seed 7", b"fd2talk, seed 8"))
    assert not read_manifest(tmp_path / "changed.mp4").intact


def test_a_changed_claim(signed, tmp_path):
    data = signed.read_bytes()
    assert data.count(b"trainedAlgorithmicMedia") >= 1
    (tmp_path / "changed.mp4").write_bytes(data.replace(b"trainedAlgorithmicMedia", b"humanEditsHumanEditsHum"))
    assert not read_manifest(tmp_path / "changed.mp4").intact


def test_a_manifest_of_another_video(signed, signer, frames, tmp_path):
    from fd2talk.output import write_video

    write_video(tmp_path / "kalt.mp4", frames[::-1], audio=np.zeros(6400, np.float32), signer=signer)
    data, other = signed.read_bytes(), (tmp_path / "kalt.mp4").read_bytes()
    (mine,) = [(place, size) for kind, place, size in boxes(data) if kind == b"uuid"]
    (theirs,) = [(place, size) for kind, place, size in boxes(other) if kind == b"uuid"]
    assert mine[1] == theirs[1]
    swapped = other[: theirs[0]] + data[mine[0] : sum(mine)] + other[sum(theirs) :]
    (tmp_path / "swapped.mp4").write_bytes(swapped)
    assert not read_manifest(tmp_path / "swapped.mp4").intact


def test_what_has_lost_its_manifest(signed, tmp_path):
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(without_manifest(signed.read_bytes()))
    copied = tmp_path / "copied.mp4"
    with av.open(str(signed)) as source, av.open(str(copied), "w") as target:
        streams = {one.index: target.add_stream_from_template(one) for one in source.streams}
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                target.mux(packet)
    for path in (cut, copied):
        assert read_manifest(path) is None and not has_box(path)


def test_half_a_file(signed, tmp_path):
    path = tmp_path / "half.mp4"
    path.write_bytes(signed.read_bytes()[: signed.stat().st_size * 2 // 3])
    found = read_manifest(path)
    assert found is not None and not found.intact


def test_who_is_trusted(signed, authority, tmp_path):
    ours, other = authority.path.read_text(), Authority(tmp_path / "other", "Other").path.read_text()
    assert read_manifest(signed, ours).trusted and read_manifest(signed, other + ours).trusted
    for trust in (None, other):
        found = read_manifest(signed, trust)
        assert found.intact and not found.trusted


def test_files_without(tmp_path):
    for name, content in [("a.mp4", b"\0\0\0\x08ftyp"), ("b.mp4", b"x"), ("c.txt", b"text " * 100), ("d", b"\0" * 64)]:
        path = tmp_path / name
        path.write_bytes(content)
        assert read_manifest(path) is None and not has_box(path)


def test_the_box_is_found_without_the_library(signed):
    assert has_box(signed)


@pytest.mark.parametrize(
    "claims",
    [[], {"manifests": {"a": {"assertions": [{"label": "c2pa.actions", "data": [1]}]}}, "active_manifest": "a"}],
)
def test_claims_of_another_form(signed, monkeypatch, claims):
    monkeypatch.setattr("fd2talk.provenance.manifest.json.loads", lambda _: claims)
    assert read_manifest(signed).problems == ("its claims are not of the form that C2PA gives them",)
