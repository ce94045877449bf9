"""Training of the speech encoder: it learns, its batches repeat, its weights load."""

import numpy as np
import pytest
import torch
from synthetic_recordings import made_up_recordings

from shared.speech.encoder import SpeechEncoder
from shared.speech.training.task import SpeechTask
from shared.training.config import TrainingConfig
from shared.training.loop import train

TINY = dict(hidden_size=32, layers=1, heads=2, intermediate_size=64, conv_dim=(16, 16, 32))


@pytest.mark.parametrize("mouth", [False, True])
def test_task_learns_and_what_it_saves_loads(tmp_path, mouth):
    task = SpeechTask(made_up_recordings(), TINY, mouth=mouth, seconds=1.6)
    with torch.no_grad():
        before = task.validate(task.model.eval())["score"]
    settings = dict(max_steps=60, batch_size=8, learning_rate=3e-3, warmup_steps=10, ema_decay=0.9, precision="no")
    result = train(task, TrainingConfig(output=str(tmp_path), validate_every=60, **settings))
    assert result["best_score"] > max(before, 0) + 0.1
    encoder = SpeechEncoder.from_pretrained(tmp_path / "best")
    assert encoder.normalise and encoder(np.zeros(16000, np.float32)).shape == (25, 32)
    again = SpeechTask(made_up_recordings(), TINY, mouth=True, start=str(tmp_path / "best"))
    assert torch.allclose(
        again.model.encoder.encoder.layers[0].feed_forward.output_dense.weight,
        encoder.model.encoder.layers[0].feed_forward.output_dense.weight,
    )


def test_batches_repeat_and_labels_fit_the_sound():
    task = SpeechTask(made_up_recordings(), TINY, seconds=1.6)
    one, two = (task.batch(torch.Generator().manual_seed(3), 6) for _ in range(2))
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert one["audio"].shape == (6, 25600) and one["phones"].shape == (6, 80) and one["teacher"].shape == (6, 40, 3)
    known = one["teacher_weight"].bool() & (one["phones"][:, ::2] > 0)
    high = one["teacher"][..., 0] > 0
    assert torch.equal(high[known], (one["phones"][:, ::2] == 2)[known])
