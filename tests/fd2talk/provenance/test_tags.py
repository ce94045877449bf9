from importlib.metadata import version

from fd2talk.provenance.tags import tags


def test_program_and_source_without_folders():
    assert tags("fd2talk, seed 7") == {"software": f"fd2talk {version('fd2talk')}", "source": "fd2talk, seed 7"}
    for path in ("/home/anna/private/clip.mp4", "C:\\Users\\Anna\\clip.mp4"):
        assert tags(path)["source"] == "clip.mp4"
    assert set(tags()) == {"software"}
