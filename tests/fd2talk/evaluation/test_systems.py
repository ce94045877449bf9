"""Systems of the evaluation on ten frames of a portrait rendered by the warp; networks are random."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from material import SPEECH, fitted_portrait, sine_motion

from fd2talk.evaluation import systems
from fd2talk.evaluation.system_names import NETWORK_ALONE, SYSTEMS
from fd2talk.evaluation.systems import ClipGenerator, Recording
from fd2talk.track import track_file
from shared.errors import InputError, UsageError
from shared.face_model import load_bundled
from shared.face_model.measures import lip_gap
from shared.media import VideoWriter, read_audio, read_video, video_info
from shared.metrics.rendering import part_boxes
from shared.motion import Motion
from shared.photo_fit import PhotoFit
from stage1_motion.interface import SamplingOptions
from stage1_motion.pipeline import MotionPipeline
from stage2_render.pipeline import RenderPipeline

FRAMES = 10


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    """Two people, of whom one has two clips; the first clip's sound is too short, the second's too long."""
    folder = tmp_path_factory.mktemp("filmed")
    speech = read_audio(SPEECH)
    pipeline = RenderPipeline.from_pretrained(renderer="geometry")
    fitted = fitted_portrait()
    motion = sine_motion(speech[: 640 * FRAMES], fitted)
    # The first frame is the photo's own, so that it is fitted as the photo is.
    motion.expression[0], motion.rotation[0] = fitted.expression, fitted.rotation
    path = folder / "filmed.mp4"
    with VideoWriter(path, (240, 240), audio=speech[: 640 * FRAMES]) as writer:
        for frame in pipeline(fitted, motion, relative=False):
            writer.write(frame)
    parts = [("a1", "a", slice(8000, 14000)), ("a2", "a", slice(20000, 30000)), ("b1", "b", slice(30000, 34000))]
    track = track_file(str(path), quiet=True)
    return [Recording(name, person, path, speech[part], track) for name, person, part in parts]


@pytest.fixture(scope="module")
def weights(tmp_path_factory, renderer_weights):
    """A folder for both stages: the bundled motion model and a small random renderer."""
    from shared.weights import bundled

    folder = tmp_path_factory.mktemp("both")
    (folder / "diffusion").symlink_to(renderer_weights / "diffusion")
    for file in bundled("fd2talk").iterdir():
        (folder / file.name).symlink_to(file)
    return str(folder)


@pytest.fixture(scope="module")
def generated(tmp_path_factory, recordings, weights):
    """Name of a system -> its folder and timings, generated once."""
    done = {}

    def generate(name, recording=recordings[0], seed=0):
        key = (name, recording.name, seed)
        if key not in done:
            folder = tmp_path_factory.mktemp(name)
            done[key] = folder, ClipGenerator(name, weights=weights, recordings=recordings)(recording, seed, folder)
        return done[key]

    return generate


def pictures(folder, name="a1"):
    return np.stack(list(read_video(folder / f"{name}.mp4"))).astype(float)


@pytest.mark.parametrize("name", SYSTEMS)
def test_every_system_generates_frames_and_sound_of_the_recording(generated, recordings, name):
    folder, timings = generated(name)
    rendered = name not in NETWORK_ALONE
    assert sorted(file.name for file in folder.iterdir()) == ["a1.mp4", "a1.npz"][not rendered :]
    if rendered:
        real = list(read_video(recordings[0].video))
        frames = pictures(folder)
        assert frames.shape == (FRAMES, 240, 240, 3) == (len(real), *real[0].shape)
        assert video_info(folder / "a1.mp4").has_audio
    motion = Motion.load(folder / "a1.npz", face_model=load_bundled().fingerprint)
    assert len(motion) == FRAMES and len(motion.audio) == 640 * FRAMES
    np.testing.assert_allclose(motion.audio[:6000], recordings[0].audio, atol=1e-4)
    assert not motion.audio[6000:].any()
    assert timings.frames == FRAMES and timings.writing > 0 and timings.stage2 > 0 and timings.memory > 50
    assert (timings.stage1 > 0) == (name != "static")


def test_a_network_alone_is_the_motion_without_rules(recordings, weights, tmp_path, monkeypatch):
    rules = []
    generate = MotionPipeline.__call__

    def noted(self, *arguments, postprocessing, **options):
        rules.append(postprocessing)
        return generate(self, *arguments, postprocessing=postprocessing, **options)

    monkeypatch.setattr(MotionPipeline, "__call__", noted)
    for name, on in (("bundled-network", False), ("ridge-network", False), ("bundled", True)):
        ClipGenerator(name, weights=weights)(recordings[0], 0, tmp_path / name, video=False)
        assert set(vars(rules.pop()).values()) == {on}
    one, other = (Motion.load(tmp_path / name / "a1.npz") for name in ("bundled", "bundled-network"))
    assert np.array_equal(one.rotation[8:], other.rotation[8:])  # after the ease from the photo
    assert not np.array_equal(one.expression[8:], other.expression[8:])
    ridge = Motion.load(tmp_path / "ridge-network" / "a1.npz")
    assert not np.array_equal(ridge.rotation, other.rotation)


def test_a_photo_is_fitted_once_where_generators_share_them(recordings, weights, tmp_path, monkeypatch):
    fits, fit = [], PhotoFit.fit
    monkeypatch.setattr(PhotoFit, "fit", lambda *arguments: fits.append(1) or fit(*arguments))
    photos, made = {}, []
    for index, shared in enumerate((photos, photos, None)):
        generator = ClipGenerator("bundled-network", weights=weights, photos=shared)
        generator(recordings[0], 0, tmp_path / str(index))
        made.append((tmp_path / str(index) / "a1.npz").read_bytes())
    assert len(fits) == 2 and list(photos) == [recordings[0].video] and len({*made}) == 1


def test_static_repeats_the_first_frame(generated, recordings):
    folder, _ = generated("static")
    first = next(iter(read_video(recordings[0].video))).astype(float)
    assert np.abs(pictures(folder) - first).mean() < 1.5
    motion = Motion.load(folder / "a1.npz")
    for values in (motion.expression, motion.rotation, motion.translation):
        assert np.ptp(values, axis=0).max() == 0


def test_warp_has_the_bundled_motion_and_no_networks(generated, recordings, weights, tmp_path, monkeypatch):
    (warp, _), (bundled, _) = generated("warp"), generated("bundled")
    one, other = (Motion.load(folder / "a1.npz") for folder in (warp, bundled))
    assert np.array_equal(one.expression, other.expression) and np.array_equal(one.rotation, other.rotation)
    monkeypatch.setattr(
        "stage2_render.diffusion.render_model.RenderNetworks.load", lambda folder: pytest.fail("networks loaded")
    )
    ClipGenerator("warp", weights=weights)(recordings[0], 0, tmp_path)


def test_ridge_moves_less_and_has_its_own_weights(generated):
    ridge, bundled = (Motion.load(generated(f"{name}-network")[0] / "a1.npz") for name in ("ridge", "bundled"))
    assert not np.array_equal(ridge.expression, bundled.expression)
    turns = [motion.rotation.std(0).sum() for motion in (ridge, bundled)]
    assert 0 < turns[0] < 0.5 * turns[1]


def test_ground_truth_is_the_tracked_motion_outside_the_crop_the_filmed_picture(generated, recordings):
    folder, _ = generated("ground-truth")
    real = np.stack(list(read_video(recordings[0].video))).astype(float)
    frames = pictures(folder)
    corner = np.abs(frames - real)[:, :20].mean()
    middle = np.abs(frames - real)[:, 100:140, 100:140].mean()
    assert corner < 2 < 5 < middle  # the autoencoder is random
    model = load_bundled()
    motion = Motion.load(folder / "a1.npz")
    gap = lip_gap(model.vertices(motion.identity, motion.expression))
    true = np.sin(2 * np.pi * 3 * np.arange(FRAMES) / 25)
    assert np.corrcoef(gap[1:], true[1:])[0, 1] > 0.8


def test_driven_is_the_filmed_motion_from_the_first_frame(generated, recordings):
    names = ("driven-diffusion", "driven-warp", "ground-truth")
    (driven, _), (warp, _), (truth, _) = (generated(name) for name in names)
    motions = [Motion.load(folder / "a1.npz") for folder in (driven, warp, truth)]
    assert all(np.array_equal(motion.expression, motions[0].expression) for motion in motions)
    real = np.stack(list(read_video(recordings[0].video))).astype(float)
    # The first frame is fitted exactly, with the coefficients of the smoothed motion: nothing moves in it.
    ((x0, y0, x1, y1),) = part_boxes(recordings[0].track.landmarks[0], real.shape[1:3])["mouth"]
    first, *others = np.abs(pictures(warp) - real[0])[:, y0:y1, x0:x1].mean((1, 2, 3))
    assert first < 2 < 4 < max(others)
    assert np.abs(pictures(warp) - pictures(driven)).mean() > 1  # the random renderer generates noise


@pytest.mark.parametrize("name", ["static", "warp", "driven-warp", "ground-truth"])
def test_chosen_frames_are_those_of_the_video(generated, recordings, weights, tmp_path, name):
    numbers = np.array([2, 5, 9])
    ClipGenerator(name, weights=weights)(recordings[0], 0, tmp_path, numbers=numbers)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a1.frames", "a1.npz"]
    folder, _ = generated(name)
    with np.load(tmp_path / "a1.frames") as found:
        frames, nose = found["frames"].astype(float), found["landmarks"][:, 1, :2]
    if name == "ground-truth":
        inputs = recordings[0].video, recordings[0].track, ClipGenerator(name, weights=weights).renderer.networks
        expected = np.stack(list(systems.autoencoded_frames(*inputs)))[numbers]
        np.testing.assert_allclose(frames, expected, atol=1)
    else:
        assert np.abs(frames - pictures(folder)[numbers]).mean() < 3  # the video is compressed
    one, other = (Motion.load(place / "a1.npz") for place in (tmp_path, folder))
    assert np.array_equal(one.expression, other.expression)
    if name in ("driven-warp", "ground-truth"):
        np.testing.assert_allclose(nose, recordings[0].track.landmarks[numbers][:, 1, :2], atol=2)


def test_settings_reach_the_renderer(recordings, weights, tmp_path, monkeypatch):
    given = []

    def render(self, photo, motion, **settings):
        given.append(settings)
        return iter([photo.image] * len(motion))

    monkeypatch.setattr(RenderPipeline, "__call__", render)
    settings = {"steps": 4, "shared_noise": False}
    for name in ("driven-diffusion", "driven"):  # those of the diffusion renderer are no settings of others
        ClipGenerator(name, weights=weights, render=settings)(recordings[0], 0, tmp_path, numbers=np.array([6]))
    common = {"relative": False, "max_size": 240}
    assert given == [{**common, **settings}, common]


def test_ground_truth_decodes_from_latents_and_the_first_frame_alone(recordings):
    class Ours(torch.nn.Module):
        def encode(self, picture):
            return picture[:, :, ::8, ::8]

        def decode(self, reference, latents):
            assert torch.equal(reference[0], reference[-1])
            self.references = [*getattr(self, "references", []), reference[0]]
            return torch.nn.functional.interpolate(latents, scale_factor=8)

    networks = type("", (), {"autoencoder": Ours(), "window": (32, 38, 192)})()
    frames = list(systems.autoencoded_frames(recordings[0].video, recordings[0].track, networks))
    assert len(frames) == FRAMES
    references = networks.autoencoder.references
    assert len(references) == -(-FRAMES // 8) and all(torch.equal(references[0], other) for other in references)


def test_a_repeated_frame_is_decoded_alike(recordings, weights, monkeypatch):
    networks = ClipGenerator("ground-truth", weights=weights).renderer.networks
    track = replace(recordings[0].track, landmarks=np.repeat(recordings[0].track.landmarks[:1], 6, axis=0))
    image = next(iter(read_video(recordings[0].video)))
    monkeypatch.setattr(systems, "read_video", lambda path: iter([image] * 6))
    first, *others = systems.autoencoded_frames(recordings[0].video, track, networks)
    for other in others:
        np.testing.assert_allclose(other.astype(int), first, atol=1)


def test_shuffled_audio_is_the_next_person_s(recordings):
    a1, a2, b1 = recordings
    driving = ClipGenerator("shuffled-audio", recordings=recordings)._driving_audio
    for recording, other in ((a1, b1), (a2, b1), (b1, a1)):
        np.testing.assert_array_equal(driving(recording), np.resize(other.audio, 640 * FRAMES))
    np.testing.assert_array_equal(
        ClipGenerator("shuffled-audio", recordings=[a1, a2])._driving_audio(a1), np.resize(a2.audio, 640 * FRAMES)
    )


def test_shuffled_audio_changes_the_motion_and_keeps_the_sound(generated):
    one, other = (Motion.load(generated(name)[0] / "a1.npz") for name in ("bundled", "shuffled-audio"))
    assert not np.array_equal(one.expression, other.expression)
    assert np.array_equal(one.audio, other.audio)


def test_same_seed_same_bytes_other_seed_other_head(generated, recordings, weights, tmp_path):
    folder, _ = generated("bundled")
    (tmp_path / "a1.mp4").write_bytes(b"left by an interrupted run")
    generator = ClipGenerator("bundled", weights=weights)
    generator(recordings[0], 0, tmp_path)
    for file in ("a1.mp4", "a1.npz"):
        assert (tmp_path / file).read_bytes() == (folder / file).read_bytes()
    generator(recordings[0], 1, tmp_path, video=False)
    assert (tmp_path / "a1.mp4").read_bytes() == (folder / "a1.mp4").read_bytes()
    one, other = (Motion.load(where / "a1.npz") for where in (folder, tmp_path))
    assert np.abs(one.rotation - other.rotation).max() > 1e-3


def test_without_video_no_networks_are_loaded(recordings, weights, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "stage2_render.diffusion.render_model.RenderNetworks.load", lambda folder: pytest.fail("networks loaded")
    )
    for name in ("ridge", "ground-truth"):
        ClipGenerator(name, weights=weights)(recordings[0], 0, tmp_path / name, video=False)
        assert [file.name for file in (tmp_path / name).iterdir()] == ["a1.npz"]


def test_odd_sides_and_missing_frames(recordings, tmp_path, monkeypatch):
    """A missing frame repeats the last one; an odd last row and column are cut."""
    real = [frame[:239, :237] for frame in read_video(recordings[0].video)][:7]
    monkeypatch.setattr(systems, "read_video", lambda path: (frame for frame in real))
    ClipGenerator("static")(recordings[0], 0, tmp_path)
    assert pictures(tmp_path).shape == (FRAMES, 238, 236, 3)
    ClipGenerator("warp")(recordings[0], 0, tmp_path)
    assert pictures(tmp_path).shape == (FRAMES, 238, 236, 3)


def test_a_clip_that_is_interrupted_leaves_nothing(recordings, tmp_path, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    generator = ClipGenerator("static")
    monkeypatch.setattr(VideoWriter, "write", stop)
    with pytest.raises(KeyboardInterrupt):
        generator(recordings[0], 0, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_scale_of_styles_is_for_clips_that_have_one(recordings, tmp_path):
    """A clip too short to give a style is generated without one, as it is without this scale."""
    made = []
    for index, options in enumerate((SamplingOptions(), SamplingOptions(style_guidance=4.0))):
        generator = ClipGenerator("diffposetalk", sampling=options)
        generator(recordings[0], 0, tmp_path / str(index), video=False)
        made.append(Motion.load(tmp_path / str(index) / "a1.npz").expression)
    assert np.array_equal(*made)


def test_impossible_requests_are_refused(recordings, tmp_path):
    with pytest.raises(UsageError, match="no system 'toaster'.*bundled, warp"):
        ClipGenerator("toaster")
    with pytest.raises(InputError, match="at least two clips"):
        ClipGenerator("shuffled-audio", recordings=recordings[:1])
    blank = tmp_path / "blank.mp4"
    with VideoWriter(blank, (64, 64)) as writer:
        writer.write(np.zeros((64, 64, 3), np.uint8))
    with pytest.raises(InputError, match="blank.mp4: "):
        ClipGenerator("bundled")(replace(recordings[0], video=blank), 0, tmp_path / "out", video=False)
    assert not (tmp_path / "out").exists()
