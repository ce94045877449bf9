"""What a listener hears of another speaker: voice, phrases and their ends, low pitch, frame by frame.

Sound is analysed in hops of 10 ms at absolute positions: blocks of any size give the same, and memory does not grow.
Pitch is the peak of the autocorrelation, freed of the window's (Boersma, 1993, "Accurate short-term analysis of the
fundamental frequency", IFA Proceedings 17).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from shared.media import FPS, SAMPLE_RATE

_HOP, _WINDOW, _FFT = 160, 640, 1280  # samples
_HOPS = round(SAMPLE_RATE / FPS) // _HOP
"""Of a frame."""

_LAGS = np.arange(SAMPLE_RATE // 400, SAMPLE_RATE // 60 + 1)  # pitch of 60 to 400 Hz
_OCTAVE_COST = 0.03
_VOICED = 0.6
"""Height of the peak, 0 to 1."""

_ABOVE_NOISE = 9.0
_QUIET, _FLOOR = -55.0, -80.0  # decibels of full scale: never heard; where the noise is taken to be at first
_RISE = 0.06
"""Decibels by which the estimate of the noise rises in a hop, until a quieter one: 6 a second."""

_UNVOICED = 15
"""Hops without pitch that still are speech: consonants."""

_GAP = 20
"""Hops of a pause within a phrase, such as the closure of a stop."""

_BEGINS = 5
"""Hops with pitch among the last ten that begin a phrase; a click has none."""

_PERCENTILE, _LOW, _MEMORY = 26, 11, 3000
"""Ward and Tsukahara: pitch below the 26th percentile, here of the last 30 s of voice, for 110 ms."""

_PHRASE = 70
"""Hops of speech before either cue: they ask for 700 ms."""

_TURN, _PAUSE = 200, 70
"""A turn is a phrase, or several, of 2 s at least; it has ended when nothing was said for 0.7 s."""


@dataclass(frozen=True)
class Heard:
    """A frame of the other speaker's sound.

    Args:
        speaks: whether somebody speaks.
        begins: somebody begins to, after a pause.
        low_pitch: pitch has been low for a while (Ward and Tsukahara, 2000).
        phrase_ends: a pause begins after a phrase.
        turn_ends: it goes on after a turn.
        spoken: seconds of speech up to now, or up to the pause.
    """

    speaks: bool = False
    begins: bool = False
    low_pitch: bool = False
    phrase_ends: bool = False
    turn_ends: bool = False
    spoken: float = 0.0


NOTHING = Heard()


class Hearing:
    """Sound that arrives in pieces -> what is heard in each of its frames."""

    def __init__(self) -> None:
        self._window = np.hanning(_WINDOW + 1)[:-1]
        spectrum = np.abs(np.fft.rfft(self._window, _FFT)) ** 2
        own = np.fft.irfft(spectrum)
        self._expected = own[_LAGS] / own[0]
        self._cost = _OCTAVE_COST * np.log2(_LAGS / _LAGS[0])
        self._sound = np.zeros(_WINDOW - _HOP)  # the window of the next hop ends with it
        self._noise, self._since_voice = _FLOOR, _UNVOICED
        self._voiced: deque[bool] = deque(10 * [False], maxlen=10)
        self._pitches: deque[float] = deque(maxlen=_MEMORY)
        self._low_limit, self._low = 0.0, 0
        self._speaks, self._silence, self._spoken, self._turn = False, 10**6, 0, 0
        self._hop, self._cues = 0, {"begins": False, "low_pitch": False, "phrase_ends": False, "turn_ends": False}

    def push(self, samples: np.ndarray) -> list[Heard]:
        """Take float32 [n], mono, 16 kHz; returns what is heard in the frames that it completes."""
        self._sound = np.concatenate([self._sound, samples])
        heard = []
        while len(self._sound) >= _WINDOW:
            self._listen(self._sound[:_WINDOW])
            self._sound = self._sound[_HOP:]
            self._hop += 1
            if self._hop % _HOPS == 0:
                heard.append(Heard(self._speaks, **self._cues, spoken=self._spoken / 100))
                self._cues = dict.fromkeys(self._cues, False)
        return heard

    def _listen(self, window: np.ndarray) -> None:
        """One hop, the last of a window."""
        level = 10 * np.log10(np.square(window[-2 * _HOP :]).mean() + 1e-12)
        self._noise = max(_FLOOR, min(level, self._noise + _RISE))
        loud = level > max(_QUIET, self._noise + _ABOVE_NOISE)
        pitch = self._pitch(window) if loud else 0.0
        self._voiced.append(pitch > 0)
        self._since_voice = 0 if pitch else self._since_voice + 1
        self._hear(loud and self._since_voice < _UNVOICED, pitch)

    def _hear(self, sounds: bool, pitch: float) -> None:
        if self._speaks:
            self._spoken += 1
        if sounds:
            if not self._speaks and sum(self._voiced) >= _BEGINS:
                self._cues["begins"], self._speaks = self._silence > _PAUSE, True
                self._turn = self._turn if self._silence <= _PAUSE else 0
                self._spoken = 0
            self._silence = 0 if self._speaks else self._silence + 1
        else:
            self._silence += 1
        if self._speaks and self._silence == _GAP:
            self._speaks, self._low = False, 0
            self._turn += self._spoken
            self._cues["phrase_ends"] = self._spoken - _GAP >= _PHRASE
        if not self._speaks and self._silence == _PAUSE:
            self._cues["turn_ends"] = self._turn >= _TURN
        self._follow(pitch)

    def _follow(self, pitch: float) -> None:
        """How long pitch has been low."""
        if not pitch:
            return  # a short gap in the voice does not end a low region
        self._pitches.append(pitch)
        if self._hop % 10 == 0 or len(self._pitches) < 10:
            self._low_limit = float(np.percentile(self._pitches, _PERCENTILE))
        self._low = self._low + 1 if pitch < self._low_limit else 0
        if self._low == _LOW and self._speaks and self._spoken >= _PHRASE:
            self._cues["low_pitch"] = True

    def _pitch(self, window: np.ndarray) -> float:
        """Hz, or 0 where there is none."""
        spectrum = np.abs(np.fft.rfft((window - window.mean()) * self._window, _FFT)) ** 2
        own = np.fft.irfft(spectrum)
        heights = own[_LAGS] / (own[0] + 1e-12) / self._expected - self._cost
        best = int(np.argmax(heights))
        inside = 0 < best < len(_LAGS) - 1  # a peak, not the slope of one outside
        return float(SAMPLE_RATE / _LAGS[best]) if inside and heights[best] > _VOICED else 0.0
