"""`fd2talk batch` with the models: videos of two rows by one process, with the options of each."""

from batch_tables import read_report, write_table
from material import portrait, short_speech, write_wav

from fd2talk.commands.batch import batch
from shared.media import read_video


def test_real_videos(tmp_path):
    portrait().save(tmp_path / "photo.png")
    write_wav(tmp_path / "speech.wav", short_speech())
    rows, header = ("in/a.png,in/a.wav,64,true", "in/a.png,in/a.wav,128,"), "photo,audio,max-size,no-rest"
    table = write_table(tmp_path, tmp_path / "photo.png", tmp_path / "speech.wav", rows, header)
    batch(str(table), str(tmp_path / "out"), workers=1)
    assert [row["state"] for row in read_report(tmp_path / "out").values()] == ["made", "made"]
    shapes = [next(read_video(tmp_path / "out" / f"a-a-max-size-{name}.mp4")).shape for name in ("64-no-rest", "128")]
    assert shapes == [(64, 64, 3), (128, 128, 3)]
