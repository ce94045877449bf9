"""Listening: what a face does while another one speaks. Rules with the timing of people; the mouth stays shut.

* Nods follow a stretch of low pitch (Ward and Tsukahara, 2000, "Prosodic features which cue back-channel responses in
  English and Japanese", Journal of Pragmatics 32: below the 26th percentile for 110 ms, after 700 ms of speech, none
  within 800 ms before) and the ends of phrases (Dittmann and Llewellyn, 1968, "Relationship between vocalizations and
  head nods as listener responses", Journal of Personality and Social Psychology 9), some of the time.
* A nod has one to three cycles of the ordinary rhythm of heads, 1.8 to 3.7 Hz (Hadar et al., 1983, "Kinematics of head
  movements accompanying speech during conversation", Human Movement Science 2). The first is larger the more follow,
  each is smaller than the one before, and the last smaller still (Mori, Den and Jokinen, 2025, "Structure of nods in
  conversation", PLOS ONE 20). Sizes, of 3 to 8 degrees, are ours. The eyes stay on the speaker meanwhile.
* Listeners look at speakers more than speakers at listeners (75 and 41 % of the time; Argyle and Cook, 1976, "Gaze and
  mutual gaze"): the eyes wander less.
* The head tilts a little to one side, another one for every turn.
* Small smiles when a turn begins or ends; how often is ours. They last as felt smiles do, 2/3 to 4 s (Ekman and
  Friesen, 1982, "Felt, false, and miserable smiles", Journal of Nonverbal Behavior 6).

All of it is scaled by attention, which rises when the other one is heard and falls when the face itself speaks, or 2 s
after the last word; it has no corners.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from shared.media import FPS
from stage1_motion.streaming.hearing import NOTHING, Heard, Hearing

_SECOND = round(FPS)
_MOST = 10 * _SECOND
"""Frames that may wait; older ones are left out."""

_USUAL, _PATIENCE = 8, 5 * _SECOND
"""So many frames wait where both sounds arrive together. What waits beyond for 5 s is late, and left out."""

_HOLD = 2 * _SECOND
"""Frames for which attention lasts after the last word: an answer is expected."""

_ATTENTION, _SMILE, _TILT = 8.0, 5.0, 2.0  # 1/s, see `_Follower`
_NOD_SHARE = {"low_pitch": 0.5, "phrase_ends": 0.65}
_NOD_DELAY = {"low_pitch": 0.35, "phrase_ends": 0.08}
"""Seconds from the cue as heard. What is shown of a stream is 0.3 s late already, of the 0.7 s after low pitch, and the
end of a phrase is noticed 0.2 s after it."""

_REFRACTORY = round(0.8 * FPS)
_CYCLES = (0.5, 0.33, 0.17)
"""Shares of nods of one, two and three cycles."""

_SIZE, _HIGHEST = (3.0, 5.0), 8.0  # degrees, from up to down
_RHYTHM, _RHYTHM_LIMITS = (2.2, 0.25), (1.8, 3.0)  # Hz
_DECLINE, _FINAL = 0.75, 0.8
_TILTS = (1.0, 3.0)  # degrees
_SMILES = {"begins": 0.5, "turn_ends": 0.4}
_FULL_SMILE, _PLEASANT = 3.0, 0.15  # mm of the corners; share of it in between
_STEADY = 0.7
"""Share of the wandering gaze that is left out."""

_EYE = 12.0
"""Radius of an eyeball in mm."""

# The head turns about the neck: so far the point between the eyes is above, and before it, in units of 100 mm.
_ABOVE, _BEFORE = 0.9, 0.75


@dataclass(frozen=True)
class Attention:
    """What listening adds to T frames.

    Args:
        pose: float32 [T, 6]: rotation (axis-angle, radians), and translation at a scale of 1 crop unit per 100 mm.
        smile: float32 [T], mm of the corners of the mouth.
        steady: float32 [T]: by what the wandering gaze is multiplied.
        look: float32 [T, 2], mm of the iris: what keeps the eyes on the speaker.
    """

    pose: np.ndarray
    smile: np.ndarray
    steady: np.ndarray
    look: np.ndarray

    def at(self, translation: np.ndarray) -> np.ndarray:
        """The pose float32 [T, 6] of a head that is as large as this translation [3] says (`Motion`)."""
        return self.pose * np.array([1, 1, 1, *3 * [np.exp(translation[2])]], np.float32)


class Listening:
    """A listener.

    Args:
        rng: asked at cues, so that the sizes of the pieces change nothing.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng, self._hearing = rng, Hearing()
        self._waiting: deque[Heard] = deque(maxlen=_MOST)
        self._least, self._asked = _MOST, 0
        self._last, self._missing = NOTHING, 0
        self._attention, self._smile, self._tilt = _Follower(_ATTENTION), _Follower(_SMILE), _Follower(_TILT)
        self._since_word = _HOLD
        self._nod = np.zeros(0)  # degrees, of the coming frames
        self._since_nod = _REFRACTORY
        self._smile_left, self._smile_size, self._tilt_size = 0, 0.0, 0.0

    def hear(self, samples: np.ndarray) -> None:
        """Take float32 [n] of the other one's sound, mono, 16 kHz."""
        self._waiting.extend(self._hearing.push(samples))

    def next(self, speaks: np.ndarray) -> Attention:
        """The next frames.

        Args:
            speaks: [T] in [0, 1]; where the face itself speaks it does not listen.
        """
        rows = np.array([self._frame(float(own)) for own in speaks])
        nod, tilt, smile, attention = rows.T
        pose = np.zeros((len(rows), 6), np.float32)
        pose[:, 0], pose[:, 2] = np.radians(nod), np.radians(tilt)
        pose[:, 3], pose[:, 4] = -_ABOVE * pose[:, 2], _BEFORE * pose[:, 0]
        look = np.stack([0 * nod, _EYE * np.sin(np.radians(nod))], axis=1)
        return Attention(pose, smile.astype(np.float32), 1 - _STEADY * attention.astype(np.float32), look)

    def _frame(self, own: float) -> tuple[float, float, float, float]:
        heard = self._heard()
        self._since_word = 0 if heard.speaks else self._since_word + 1
        if own < 0.5:
            self._react(heard)
        attention = self._attention((self._since_word < _HOLD) * (1 - own))
        self._smile_left = max(0, self._smile_left - 1)
        wanted = self._smile_size if self._smile_left else _PLEASANT
        smile, tilt = self._smile(wanted), self._tilt(self._tilt_size)
        nod = self._nod[0] if len(self._nod) else 0.0
        self._nod, self._since_nod = self._nod[1:], self._since_nod + 1
        return nod * attention, tilt * attention, _FULL_SMILE * smile * attention, attention

    def _heard(self) -> Heard:
        """The next frame of what waits; where none has come yet, as if the last one went on for half a second."""
        self._least, self._asked = min(self._least, len(self._waiting)), self._asked + 1
        if self._asked == _PATIENCE:
            for _ in range(self._least - _USUAL):
                self._waiting.popleft()
            self._least, self._asked = _MOST, 0
        if self._waiting:
            self._last, self._missing = self._waiting.popleft(), 0
            return self._last
        self._missing += 1
        return Heard(speaks=self._last.speaks and self._missing < _SECOND // 2)

    def _react(self, heard: Heard) -> None:
        """Draw what a cue leads to."""
        for cue, share in _NOD_SHARE.items():
            if getattr(heard, cue) and self._since_nod >= _REFRACTORY and not len(self._nod):
                if self._rng.random() < share:
                    self._nod, self._since_nod = self._drawn_nod(_NOD_DELAY[cue], heard.spoken), 0
        if heard.begins:
            self._tilt_size = self._rng.choice((-1, 1)) * self._rng.uniform(*_TILTS)
        for cue, share in _SMILES.items():
            if getattr(heard, cue) and not self._smile_left and self._rng.random() < share:
                self._smile_left = int(np.clip(self._rng.lognormal(np.log(1.5), 0.4), 2 / 3, 4) * FPS)
                self._smile_size = self._rng.uniform(0.5, 1)

    def _drawn_nod(self, delay: float, spoken: float) -> np.ndarray:
        """Degrees by frame; the chin goes down and comes back, in each cycle. More was said: a larger nod."""
        rng = self._rng
        cycles = int(rng.choice(3, p=_CYCLES)) + 1
        size = rng.uniform(*_SIZE) * (1 + 0.15 * (cycles - 1)) * np.clip(0.7 + 0.1 * spoken, 0.8, 1.1)
        sizes = np.clip(size, _SIZE[0], _HIGHEST) * _DECLINE ** np.arange(cycles)
        sizes[-1] *= _FINAL if cycles > 1 else 1
        rhythm = np.clip(rng.normal(*_RHYTHM), *_RHYTHM_LIMITS)
        wait = max(0.0, delay * rng.normal(1, 0.2))
        phase = np.arange(1, int((wait + cycles / rhythm) * FPS) + 1) / FPS - wait
        cycle = np.clip((phase * rhythm).astype(int), 0, cycles - 1)
        return (phase > 0) * sizes[cycle] * (1 - np.cos(2 * np.pi * phase * rhythm)) / 2


class _Follower:
    """A value that follows a target without corners: x'' = w^2 (target - x) - 2 w x', solved exactly."""

    def __init__(self, rate: float) -> None:
        self._rate, self._value, self._speed = rate, 0.0, 0.0

    def __call__(self, target: float) -> float:
        """The value a frame later."""
        off, decay = self._value - target, np.exp(-self._rate / FPS)
        slope = self._speed + self._rate * off
        self._value = target + (off + slope / FPS) * decay
        self._speed = (self._speed - self._rate * slope / FPS) * decay
        return float(self._value)
