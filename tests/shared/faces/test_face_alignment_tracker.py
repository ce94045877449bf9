"""The second face tracker: 68 points to a mesh; the package's own code, with random weights in its published files."""

import numpy as np
import pytest
import torch
from portraits import portrait

from shared.errors import UsageError
from shared.face_model import load_bundled
from shared.face_model.camera import project
from shared.faces import face_alignment_tracker as second
from shared.faces.crop import Crop
from shared.faces.detection import FaceBox
from shared.metrics.syncnet import face_boxes, s3fd_track
from shared.photo_fit import PhotoFit


@pytest.mark.parametrize("angles", [(0, 0, 0), (0.15, 0.4, -0.1), (-0.2, -0.35, 0.5), (0, 0, 1.4)])
def test_the_mesh_of_known_points_is_found(angles):
    """68 points of a random face of the model, turned: the whole mesh is that face's."""
    model, random = load_bundled(), np.random.default_rng(1)
    identity, expression = random.normal(0, 0.5, model.num_identity), random.normal(0, 0.3, model.num_expression)
    vertices = model.vertices(identity, expression)
    mesh = Crop(300, 200, 400).to_pixels(project(vertices, np.array(angles), np.array([0.05, -0.2, -0.3])))
    found = second.mesh_of_68(mesh[list(second.MESH_68), :2], model)
    eyes = np.linalg.norm(mesh[33] - mesh[263])
    np.testing.assert_allclose(found[list(second.MESH_68), :2], mesh[list(second.MESH_68), :2], atol=0.05)
    assert np.linalg.norm((found - mesh)[:, :2], axis=1).mean() < 0.05 * eyes
    depth, expected = (m[:, 2] - m[:, 2].mean() for m in (found, mesh))
    assert np.corrcoef(depth, expected)[0, 1] > 0.95 and np.abs(depth - expected).mean() < 0.08 * eyes


def test_the_points_of_a_portrait_give_its_mesh_and_a_fit():
    photo, points = portrait()
    found = second.mesh_of_68(points[list(second.MESH_68), :2], load_bundled())
    eyes = np.linalg.norm(points[33] - points[263])
    assert np.linalg.norm((found - points)[:468, :2], axis=1).mean() < 0.05 * eyes
    fitted, real = (PhotoFit.from_landmarks(photo, mesh, load_bundled()) for mesh in (found, points))
    assert fitted.misfit < 0.5 and np.degrees(np.abs(fitted.rotation - real.rotation)).max() < 8


def test_without_the_package_one_line_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr(second, "is_installed", lambda: False)
    second._detector.cache_clear()
    with pytest.raises(UsageError, match="pip install 'fd2talk\\[faces\\]'"):
        PhotoFit.fit(np.full((200, 200, 3), 128, np.uint8), tracker="face-alignment")
    with pytest.raises(UsageError, match="unknown face tracker"):
        PhotoFit.fit(np.full((200, 200, 3), 128, np.uint8), tracker="other")


def test_boxes_follow_the_tracked_face_and_bridge_frames_without_one(monkeypatch):
    points = np.stack([portrait(size=200)[1] + [4 * frame, 0, 0] for frame in range(4)])
    boxes = face_boxes(points)
    seen = iter([[box, FaceBox(0, 0, 9, 9, 0.99)] for box in (FaceBox(*b, score=0.95) for b in boxes + 1)])
    answers = [next(seen), next(seen), [], [next(seen) and FaceBox(*boxes[3] + 1, score=0.95)]]
    monkeypatch.setattr("shared.metrics.syncnet.s3fd_boxes", lambda frame: answers[int(frame[0, 0, 0])])
    found = s3fd_track([np.full((9, 9, 3), number, np.uint8) for number in range(4)], points)
    np.testing.assert_allclose(found[[0, 1, 3]], boxes[[0, 1, 3]] + 1)
    np.testing.assert_allclose(found[2], (found[1] + found[3]) / 2)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Torch's cache with the package's networks: random, but S3FD sees large faces everywhere."""
    pytest.importorskip("face_alignment", reason="the extra [faces] is not installed")
    from face_alignment.detection.sfd.net_s3fd import s3fd
    from face_alignment.models import FAN

    folder = tmp_path_factory.mktemp("torch")
    (folder / "hub" / "checkpoints").mkdir(parents=True)
    torch.manual_seed(0)
    detector = s3fd()
    for name, parameter in detector.named_parameters():
        if "mbox" in name:
            torch.nn.init.zeros_(parameter)
            if name.endswith("conf.bias"):
                parameter.data[0], parameter.data[-1] = 5, -5
    detector.conv7_2_mbox_conf.bias.data[:] = torch.tensor([-5.0, 5.0])
    torch.save(detector.state_dict(), folder / "hub" / "checkpoints" / "s3fd-619a316812.pth")
    torch.save(FAN(4).state_dict(), folder / "hub" / "checkpoints" / "3DFAN4-7835d9f11d.pth.tar")
    return folder


@pytest.fixture
def cached(weights, monkeypatch):
    for cache in (second._detector, second._aligner):
        cache.cache_clear()
    monkeypatch.setenv("TORCH_HOME", str(weights))
    yield
    for cache in (second._detector, second._aligner):
        cache.cache_clear()


def test_the_package_runs_with_weights_in_the_published_layout(cached):
    image, _ = portrait(size=256)
    boxes = second.s3fd_faces(image)
    # Cells of 128 pixels with anchors of 512; of boxes that overlap by more than .3 one is kept.
    assert 1 <= len(boxes) < 9
    for box in boxes:
        assert box.side == pytest.approx(512, abs=1) and box.score > 0.99
        assert all((value - 64) % 128 == pytest.approx(0, abs=1e-3) for value in box.middle)
    mesh = second.face_alignment_mesh(image, FaceBox(60, 50, 200, 210), load_bundled())
    assert mesh.shape == (478, 3) and np.isfinite(mesh).all()


def test_weights_that_cannot_be_loaded_are_one_line(weights, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    (tmp_path / "hub" / "checkpoints" / "s3fd-619a316812.pth").write_bytes(b"nothing")
    second._detector.cache_clear()
    with pytest.raises(UsageError, match="its weights belong into"):
        second.s3fd_faces(np.zeros((64, 64, 3), np.uint8))
