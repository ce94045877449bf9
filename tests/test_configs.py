"""Every training of configs/ is complete, is checked key by key, and trains a step at tiny size on synthetic data."""

import copy
import json

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file
from synthetic_frames import FIRST_IMAGES, write_frames
from synthetic_pairs import write_pairs
from synthetic_prepared import write_prepared
from synthetic_recordings import made_up_recordings
from transformers import Wav2Vec2Config, Wav2Vec2Model

from fd2talk.commands.train import check_training, train_config
from fd2talk.evaluation.ablation.file import read_ablation
from shared.config import Config
from shared.errors import InputError
from shared.face_model import load_bundled
from shared.speech.training.recordings import PHONES
from shared.speech.training.task import SpeechTask
from shared.weights import bundled_config
from stage1_motion.lip_expert.network import LipExpert, mouth_basis
from stage1_motion.motion_space import MotionSpace
from stage1_motion.speech_events import PROBES, Probe, SpeechEventDetector
from stage1_motion.style.encoder import StyleEncoder, StyleEncoderConfig
from stage2_render.diffusion.autoencoder import AutoencoderConfig
from stage2_render.diffusion.diffusers_autoencoder import DiffusersConfig
from stage2_render.diffusion.render_model import build_autoencoder, save_autoencoder
from stage2_render.repair.network import RepairConfig, RepairNetwork
from stage2_render.repair.networks import save_network

ROOT = bundled_config("train").parent
FILES = sorted([*ROOT.glob("train/**/*.yaml"), *ROOT.glob("ablations/**/*.yaml")])
ABLATIONS = [path for path in FILES if "\ntrainings:" in path.read_text(encoding="utf-8")]
TRAININGS = {path.relative_to(ROOT).as_posix(): path for path in FILES if path not in ABLATIONS}
OF_ABLATIONS = [(path, name) for path in ABLATIONS for name in yaml.safe_load(path.read_text())["trainings"]]
BEFORE_THE_HEAD = "train/bundled/stage1_motion/diffposetalk/denoiser.yaml"
BEFORE = {"diffposetalk": BEFORE_THE_HEAD, "diface": "train/bundled/stage1_motion/diface/denoiser.yaml"}
SPEECH = 32  # features of the tiny speech encoder
# Settings that make a network small, by model; a paper's sampling steps would take long as well.
TINY = {
    "autoencoder": ["network.coarse=8", "network.fine=8", "network.fine_blocks=1", "network.latent_channels=4"],
    "face_model": ["num_identity=8", "num_expression=4"],
    "lip_expert": ["network.width=8"],
    "speech_encoder": [
        "network.hidden_size=32", "network.layers=1", "network.heads=2", "network.intermediate_size=64",
        "network.conv_dim=[16, 16, 32]",
    ],
    "speech_events": ["sentences=12"],
    "fd2talk": ["network.width=16", "network.heads=2", "network.layers=1", "network.window=24", "network.context=6",
                "loss.steps=1"],
    "diffposetalk": ["network.width=16", "network.heads=2", "network.layers=1", "network.frames=12",
                     "network.context=4", "network.lookahead=0", "sampler.steps=1", "sampler.solver=null"],
    "diface": ["network.width=8", "network.speech_width=8", "loss.frames=12", "sampler.steps=1", "sampler.solver=null"],
    "facepolicy": ["network.widths=[8, 16]", "network.size=16", "network.kernel=3", "sampler.steps=1"],
    "style_encoder": ["network.size=16", "network.heads=2", "network.layers=1", "network.frames=12",
                      "network.shortest=6"],
    "unet": ["network.channels=[8, 8]", "network.attention=[false, true]", "network.blocks=1", "network.heads=2",
             "network.time_width=16", "steps=1"],
    "ridge": [],
    "repair": ["network.channels=[8, 16]", "network.blocks=[1, 1]", "network.heads=2", "perceptual=null"],
}  # fmt: skip
LEVELS = {name: [f"{name}Block2D"] * 3 for name in ("DownEncoder", "UpDecoder")}
DIFFUSERS = {
    "block_out_channels": [8, 8, 8], "down_block_types": LEVELS["DownEncoder"], "up_block_types": LEVELS["UpDecoder"],
    "layers_per_block": 1, "latent_channels": 3, "norm_num_groups": 4,
    "mid_block_add_attention": False,
}  # fmt: skip


@pytest.fixture(autouse=True)
def few_images(monkeypatch):
    """For the initialisation of autoencoders."""
    monkeypatch.setattr("stage2_render.training.autoencoder._FIRST_IMAGES", FIRST_IMAGES)


@pytest.fixture(scope="session")
def prepared(tmp_path_factory):
    return write_prepared(tmp_path_factory.mktemp("prepared") / "data")


@pytest.fixture(scope="session")
def speech(tmp_path_factory):
    """A speech encoder of 32 features in transformers' format, a detector of events and a lip expert for them."""
    torch.manual_seed(0)
    folder, model, random = tmp_path_factory.mktemp("speech"), load_bundled(), np.random.default_rng(0)
    sizes = {"hidden_size": SPEECH, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    stem = {"conv_dim": (16, 16), "conv_kernel": (400, 4), "conv_stride": (160, 2), "num_feat_extract_layers": 2}
    Wav2Vec2Model(Wav2Vec2Config(**sizes, **stem, num_conv_pos_embeddings=8)).save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps({"feature_extractor_type": "Wav2Vec2FeatureExtractor"}))
    probes = {name: Probe(random.normal(size=3 * SPEECH).astype(np.float32), 1.0) for name in PROBES}
    SpeechEventDetector(probes).save(folder / "speech_events.safetensors")
    space = MotionSpace(model, np.ones(model.num_expression, np.float32), np.ones(6, np.float32))
    LipExpert(SPEECH, mouth_basis(space), width=8).save(folder / "lip_expert.safetensors")
    return folder


@pytest.fixture(scope="session")
def style_encoder(tmp_path_factory):
    """An untrained style encoder."""
    model = load_bundled()
    size, path = model.num_expression + 6, tmp_path_factory.mktemp("style") / "style_encoder.safetensors"
    space = MotionSpace(model, np.ones(model.num_expression, np.float32), np.ones(6, np.float32))
    config = StyleEncoderConfig(size, size=16, layers=1, heads=2, frames=12, shortest=6)
    StyleEncoder(config, torch.ones(size), torch.ones(size)).save(path, space=space)
    return path


@pytest.fixture(scope="session")
def renderer(tmp_path_factory):
    """Frames, and untrained autoencoders of the bundled and of the paper's kind."""
    folder = tmp_path_factory.mktemp("renderer")
    write_frames(folder / "frames")
    torch.manual_seed(0)
    save_autoencoder(build_autoencoder(AutoencoderConfig(4, 8, 8, 1, 1)), folder / "bundled.safetensors")
    return folder


@pytest.fixture(scope="session")
def pairs(tmp_path_factory):
    """Pairs of crops, and untrained networks."""
    folder = write_pairs(tmp_path_factory.mktemp("repair") / "pairs")
    for part in ("mouth", "eye"):
        save_network(RepairNetwork(RepairConfig((8, 16), (1, 1), 2)), part, folder)
    return folder


@pytest.fixture(scope="session")
def paper_autoencoder(tmp_path_factory):
    pytest.importorskip("diffusers", reason="the optional extra `paper` is not installed")
    path = tmp_path_factory.mktemp("paper") / "autoencoder.safetensors"
    save_autoencoder(build_autoencoder(DiffusersConfig("AutoencoderKL", DIFFUSERS)), path)
    return path


@pytest.fixture
def recordings(monkeypatch):
    """Two tones for the trainings on recordings: a silence and a bilabial."""
    found = made_up_recordings(16)
    for recording in found:
        recording.phones = np.where(recording.phones == 1, 0, PHONES.index("B")).astype(np.int8)
    monkeypatch.setattr("shared.speech.training.recordings.load_recordings", lambda *_, **__: found)
    monkeypatch.setattr("shared.speech.training.task.load_mouths", lambda *_: None)
    return found


def overrides(config, tmp_path, request):
    """What makes a training small and lets it read synthetic data."""
    model, found = config["model"], list(TINY[config["model"]])
    if model not in ("autoencoder", "repair", "speech_encoder", "unet"):
        found.append(f"prepared={request.getfixturevalue('prepared')}")
    if model in ("lip_expert", "fd2talk", "speech_events", "diffposetalk", "diface", "facepolicy"):
        folder = request.getfixturevalue("speech")
        found += [f"speech_encoder={folder}", f"cache={tmp_path}"]
        if config.get("speech_events"):
            found.append(f"speech_events={folder / 'speech_events.safetensors'}")
        if config.get("style_encoder"):
            found.append(f"style_encoder={request.getfixturevalue('style_encoder')}")
        if config.get("lip_expert"):
            found.append(f"lip_expert={folder / 'lip_expert.safetensors'}")
        if config.get("start"):
            before = [f"training.output={tmp_path / 'before'}", "training.max_steps=1", "training.batch_size=4"]
            train_config(TRAININGS[BEFORE[model]], [*found, *before])
            found.append(f"start={tmp_path / 'before' / 'best' / 'denoiser.safetensors'}")
    if model in ("speech_encoder", "speech_events"):
        recordings = request.getfixturevalue("recordings")
        if config.get("start"):
            network = dict(part.removeprefix("network.").split("=") for part in found)
            task = SpeechTask(recordings, {key: yaml.safe_load(value) for key, value in network.items()})
            (tmp_path / "start").mkdir()
            task.save(task.model, tmp_path / "start")
            found.append(f"start={tmp_path / 'start'}")
    if model == "repair":
        pairs = request.getfixturevalue("pairs")
        found.append(f"data.pairs={pairs}")
        if config.get("initial"):
            found.append(f"initial={pairs}")
    if model in ("autoencoder", "unet"):
        folder = request.getfixturevalue("renderer")
        if "pretrained" in config.get("network", {}):
            found = ["network=null", "network.architecture=AutoencoderKL", f"network.settings={json.dumps(DIFFUSERS)}"]
        found += [f"data.frames={folder / 'frames'}", *(["perceptual=null"] if "perceptual" in config else [])]
        if "autoencoder" in config:
            paper = "paper" in config["autoencoder"]
            path = request.getfixturevalue("paper_autoencoder") if paper else folder / "bundled.safetensors"
            found.append(f"autoencoder={path}")
    if "training" in config:
        return [*found, "training.max_steps=1", "training.batch_size=4", "training.threads=1", "training.precision=no",
                f"training.output={tmp_path / 'run'}"]  # fmt: skip
    return [*found, f"output={tmp_path / 'run'}"]


def train_a_step(path, tmp_path, request):
    result = train_config(path, overrides(Config.load(path).values, tmp_path, request))
    assert result.get("finished", True) and result["validation"]
    assert any((tmp_path / "run").rglob("*.safetensors"))


@pytest.mark.parametrize("name", TRAININGS)
def test_it_trains_a_step(name, tmp_path, request):
    train_a_step(TRAININGS[name], tmp_path, request)


def test_a_training_starts_from_weights(tmp_path, request):
    path = TRAININGS[BEFORE_THE_HEAD.replace("denoiser", "denoiser_head")]
    settings = overrides(Config.load(path).values, tmp_path, request)
    train_config(path, [*settings, "training.learning_rate=0"])
    weights = [load_file(tmp_path / run / "best" / "denoiser.safetensors") for run in ("before", "run")]
    assert weights[0].keys() == weights[1].keys()
    assert all(torch.equal(tensor, weights[1][name]) for name, tensor in weights[0].items())


@pytest.mark.parametrize(("path", "name"), OF_ABLATIONS, ids=lambda v: getattr(v, "stem", v))
def test_the_training_of_an_ablation_trains_a_step(path, name, tmp_path, request):
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(read_ablation(path).trainings[name]))
    train_a_step(tmp_path / "config.yaml", tmp_path, request)


def nested(values, path=()):
    """Paths of all keys, sections among them, and their values."""
    for key, value in values.items():
        yield (*path, key), value
        if isinstance(value, dict):
            yield from nested(value, (*path, key))


@pytest.mark.parametrize("name", TRAININGS)
def test_every_mistyped_section_and_key_is_one_line(name):
    path = TRAININGS[name]
    read = Config.load(path)
    assert check_training(read)
    for (*section, key), value in nested(read.values):
        wrong, config = {f"{key}x": value}, copy.deepcopy(read)
        for part in reversed(section):
            wrong = {part: wrong}
        config.merge(wrong, str(path))
        with pytest.raises(InputError) as caught:
            check_training(config)
        where = f"section `{'.'.join(section)}`: unknown key" if section else "unknown section or key"
        assert str(caught.value).startswith(f"{path}: {where} `{key}x` (did you mean `{key}`? known: ")
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "override", "message"),
    [
        ("stage2_render/unet", "network.channels=[8]", "channels and attention must have one value for each level"),
        ("stage2_render/unet", "network.size=9", "unknown key `size`"),  # sizes that follow from the data
        ("stage2_render/unet", "initial=runs/unet/best", "unknown section or key `initial`"),
        ("stage2_render/autoencoder", "loss.batches.flp=1", "`loss.batches`: unknown key `flp` (did you mean"),
        ("stage1_motion/fd2talk/pose", "loss.sync_weight=1", "unknown key `sync_weight`"),  # not of this part
        ("stage1_motion/fd2talk/pose", "part=head", "`part` must be one of pose, expression, expression_and_pose"),
        (
            "stage1_motion/fd2talk/pose",
            "training.max_steps=0",
            "`training`: `max_steps` must be a number from 1",
        ),
        (
            "stage1_motion/fd2talk/pose",
            "training.batch_size=-4",
            "`batch_size` must be a number from 1 to 65536",
        ),
        ("stage1_motion/fd2talk/pose", "training.learning_rate=.nan", "`learning_rate` must be a number"),
        ("stage1_motion/fd2talk/pose", "training.validate_every=0", "`validate_every` must be a number of at least 1"),
        ("stage1_motion/fd2talk/pose", "training.seed=-1", "`seed` must be a number from 0"),
        ("stage2_render/autoencoder", "network.coarse=wide", "section `network`: `coarse` must be an integer"),
    ],
)
def test_settings_that_do_not_apply_are_refused(name, override, message):
    with pytest.raises(InputError) as caught:
        check_training(Config.load(TRAININGS[f"train/bundled/{name}.yaml"], [override]))
    assert message in str(caught.value)


def test_everything_is_written_below_runs():
    for path in TRAININGS.values():
        values = Config.load(path).values
        assert (values.get("training") or values)["output"].startswith("runs/"), path
