from importlib.util import find_spec

import av
import numpy as np
import pytest
from material import sine_motion

from fd2talk.export.writer import export
from fd2talk.output import write_video
from fd2talk.provenance import marks
from fd2talk.provenance.marks import read_marks
from shared.errors import InputError
from shared.weights import bundled


def remuxed(path, to, **options):
    with av.open(str(path)) as source, av.open(str(to), "w", **options) as target:
        target.metadata.update(source.metadata)
        streams = {one.index: target.add_stream_from_template(one) for one in source.streams}
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                target.mux(packet)
    return to


def test_the_tag_of_a_video(tmp_path, frames):
    write_video(tmp_path / "v.mp4", frames, source="/home/anna/clip.mp4")
    found = read_marks(tmp_path / "v.mp4")
    assert found.valid and found.manifest is None
    assert found.tag["synthetic_media"] == "fd2talk" and found.tag["software"].startswith("fd2talk ")
    assert found.tag["source"] == "clip.mp4"


def test_copies_keep_the_comment_or_lose_it(tmp_path, frames):
    write_video(tmp_path / "v.mp4", frames)
    copy = remuxed(tmp_path / "v.mp4", tmp_path / "copy.mp4")  # other tags than those of old are lost here
    found = read_marks(copy)
    assert found.valid and "synthetic_media" not in found.tag and "Synthetic" in found.tag["comment"]


def test_a_video_of_somebody_else(tmp_path, frames):
    path = tmp_path / "film.mp4"
    with av.open(str(path), "w") as container:
        container.metadata["comment"] = "my holiday"
        container.metadata["title"] = "Holiday"
        stream = container.add_stream("libx264", rate=25)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame)))
        container.mux(stream.encode(None))
    found = read_marks(path)
    assert not found.valid and not found.tag and found.manifest is None


def test_motion_style_and_exports(tmp_path, speech):
    motion = sine_motion(speech)
    motion.save(tmp_path / "m.npz")
    for name in ("mesh.glb", "avatar.vrma", "curves.csv", "talk.json", "obj", "ply.ply"):
        export(motion, tmp_path / name)
    read = {
        "m.npz": ("motion file", {"source": "test", "format": "fd2talk-motion-1", "face_model": motion.face_model}),
        "mesh.glb": ("glTF file", {"software": "fd2talk", "synthetic_media": "true", "source": "test"}),
        "avatar.vrma": ("glTF file", {"software": "fd2talk", "synthetic_media": "true", "source": "test"}),
        "obj/obj_00000.obj": ("mesh", {"software": "fd2talk"}),
        "ply/ply_00000.ply": ("mesh", {"software": "fd2talk"}),
        "curves.csv": ("file", {}),  # these formats have no place for a mark
        "talk.json": ("file", {}),
    }
    for name, (kind, tag) in read.items():
        found = read_marks(tmp_path / name)
        assert (found.kind, dict(found.tag)) == (kind, tag), name
        assert found.valid == bool(tag)
    style = read_marks(bundled("diffposetalk/styles/calm.npz"))
    assert style.kind == "style file" and style.tag["source"]


def test_files_of_others(tmp_path):
    np.savez(tmp_path / "arrays.npz", a=np.arange(3))
    (tmp_path / "broken.npz").write_bytes(b"PK\3\4 and nothing")
    (tmp_path / "x.glb").write_bytes(b"glTF" + bytes(40))
    (tmp_path / "y.glb").write_bytes(b"glTF\2\0\0\0\x40\0\0\0\x0a\0\0\0JSON[1, 2, 3] ")
    (tmp_path / "z.ply").write_text("ply\nformat ascii 1.0\ncomment by hand\nelement vertex 0\n")
    (tmp_path / "t.txt").write_text("# fd2talkish\n")
    for path in tmp_path.iterdir():
        found = read_marks(path)
        assert not found.valid and not found.tag, path
    with pytest.raises(InputError, match="no such file"):
        read_marks(tmp_path / "none.mp4")
    (tmp_path / "empty.mp4").touch()
    with pytest.raises(InputError, match="empty"):
        read_marks(tmp_path / "empty.mp4")


def test_a_signature_counts_more_than_the_tag(signed, authority, tmp_path):
    found = read_marks(signed)
    assert found.valid and found.manifest.intact and found.tag["source"] == "fd2talk, seed 7"
    assert read_marks(signed, authority.path).valid
    broken = tmp_path / "broken.mp4"
    data = bytearray(signed.read_bytes())
    data[-1000] ^= 1
    broken.write_bytes(data)
    found = read_marks(broken)
    assert found.tag and not found.valid


def test_only_trusted_signers(signed, tmp_path, frames):
    from certificates import Authority

    other = Authority(tmp_path / "other", "Other").path
    assert not read_marks(signed, other).valid
    write_video(tmp_path / "plain.mp4", frames)
    assert not read_marks(tmp_path / "plain.mp4", other).valid
    with pytest.raises(InputError, match="no certificate"):
        read_marks(signed, signed)


def test_without_the_package_a_manifest_is_mentioned(signed, tmp_path, frames, monkeypatch):
    monkeypatch.setattr(marks, "find_spec", lambda name: None if name == "c2pa" else find_spec(name))
    found = read_marks(signed)
    assert found.unchecked and not found.valid and found.tag
    write_video(tmp_path / "plain.mp4", frames)
    assert read_marks(tmp_path / "plain.mp4").valid


def test_damaged_authorities_are_the_fault_of_nobody_s_video(signed, tmp_path, frames):
    junk = tmp_path / "junk.pem"
    junk.write_text("-----BEGIN CERTIFICATE-----\nbm90aGluZw==\n-----END CERTIFICATE-----\n")
    write_video(tmp_path / "plain.mp4", frames)
    for path in (signed, tmp_path / "plain.mp4"):
        with pytest.raises(InputError, match="junk.pem: not a certificate"):
            read_marks(path, junk)


def test_a_mesh_of_endless_brackets(tmp_path):
    (tmp_path / "deep.glb").write_bytes(
        b"glTF\2\0\0\0" + bytes(4) + (200_000).to_bytes(4, "little") + b"JSON" + b"[" * 200_000
    )
    found = read_marks(tmp_path / "deep.glb")
    assert not found.valid and not found.tag
