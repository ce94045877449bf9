"""Signs videos with C2PA: a manifest declares them as synthetic, and a signature identifies who declares it."""

from __future__ import annotations

import io
import mimetypes
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit

from PIL import Image

from fd2talk.provenance.c2pa_library import c2pa, context, reason
from fd2talk.provenance.credentials import Credentials, read_credentials
from fd2talk.provenance.tags import version
from shared.errors import Fd2TalkError, InputError, UsageError
from shared.files import atomic_output

CERTIFICATE_VARIABLE, KEY_VARIABLE = "FD2TALK_C2PA_CERTIFICATE", "FD2TALK_C2PA_KEY"
TIMESTAMP_VARIABLE = "FD2TALK_C2PA_TIMESTAMP"
"""Variables of the environment with the two files, and the address."""

_KINDS = "http://cv.iptc.org/newscodes/digitalsourcetype/"
SYNTHETIC = f"{_KINDS}trainedAlgorithmicMedia"
"""IPTC's term for media that a trained model made."""
PARTLY_SYNTHETIC = f"{_KINDS}compositeWithTrainedAlgorithmicMedia"
"""IPTC's term for filmed media with parts that a trained model made."""


@dataclass(frozen=True)
class Signer:
    """Signs videos with a certificate. It holds file names, not keys, so it may be printed and pickled.

    Create it with `load`, which validates both files.

    Args:
        certificate: chain in PEM, the signer's first.
        key: its private key in PEM, without a password.
        timestamp: URL of a time stamp authority (RFC 3161), which receives a hash of each signature; None: none.
        original: the video that the signed one is an edit of, or None.
    """

    certificate: Path
    key: Path
    timestamp: str | None = None
    original: Path | None = None

    @classmethod
    def load(cls, certificate: str | os.PathLike, key: str | os.PathLike, *, timestamp: str | None = None) -> Signer:
        """Validate both files by a trial signature.

        Raises:
            UsageError: c2pa-python is missing, or `timestamp` is not a URL.
            InputError: as `read_credentials`, or C2PA refuses the certificate.
            Fd2TalkError: the time stamp authority does not answer properly.
        """
        if timestamp is not None and not _is_address(timestamp):  # not repeated in the message: it may be a secret
            what = "the address of a time stamp authority, such as http://timestamp.example"
            raise UsageError(f"--c2pa-timestamp (or {TIMESTAMP_VARIABLE}) takes {what}")
        signer = cls(Path(certificate), Path(key), timestamp)
        credentials, picture = read_credentials(signer.certificate, signer.key), io.BytesIO()
        Image.new("RGB", (8, 8)).save(picture, "PNG")
        for address in dict.fromkeys((None, timestamp)):  # first without: an error is then the certificate's
            picture.seek(0)
            try:
                _sign(credentials, "image/png", picture, io.BytesIO(), _claim("trial", SYNTHETIC), address)
            except c2pa("signing").C2paError as error:
                if address is not None:
                    raise Fd2TalkError(f"no time stamp from {address}: {reason(error)}") from None
                raise InputError(f"{certificate}: C2PA refuses this certificate: {reason(error)}") from None
        return signer

    @classmethod
    def from_options(cls, certificate: str | None, key: str | None, timestamp: str | None = None) -> Signer | None:
        """Load from options; None if none of them is given.

        Raises:
            UsageError: certificate or key is missing, or as `load`.
            InputError: as `load`.
        """
        if certificate is None and key is None and timestamp is None:
            return None
        if certificate is None or key is None:
            lacking, variable = ("--c2pa-certificate", CERTIFICATE_VARIABLE)
            if certificate is not None:
                lacking, variable = "--c2pa-key", KEY_VARIABLE
            raise UsageError(f"a signature needs a certificate and its key: {lacking} (or {variable}) is missing")
        return cls.load(certificate, key, timestamp=timestamp)

    @classmethod
    def from_environment(cls) -> Signer | None:
        """Load from environment variables, for programs without these options."""
        names = CERTIFICATE_VARIABLE, KEY_VARIABLE, TIMESTAMP_VARIABLE
        return cls.from_options(*(os.environ.get(name) or None for name in names))

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables for `from_environment` in child processes."""
        named = {CERTIFICATE_VARIABLE: self.certificate, KEY_VARIABLE: self.key, TIMESTAMP_VARIABLE: self.timestamp}
        return {name: str(value) for name, value in named.items() if value is not None}

    def editing(self, original: str | os.PathLike) -> Signer:
        """A signer for an edit of a video: the manifest includes the original and its manifest as an ingredient."""
        return replace(self, original=Path(original))

    def sign(self, path: Path, *, title: str) -> None:
        """Sign a video in place; if that fails the file is unchanged.

        Args:
            path: of the MP4 video.
            title: its name in the manifest, such as its final file name.

        Raises:
            InputError: the certificate or the key has become invalid since `load`.
            Fd2TalkError: signing failed, for example because the disk is full.
        """
        credentials = read_credentials(self.certificate, self.key)
        kind = SYNTHETIC if self.original is None else PARTLY_SYNTHETIC
        claims: list[tuple[dict[str, Any], Path | None]] = [(_claim(title, kind), None)]
        if self.original is not None:
            claims.insert(0, (_claim(title, kind, "c2pa.edited"), self.original))
        for claim, original in claims:
            with _failures(title), atomic_output(path, overwrite=True) as temporary:
                try:
                    with open(path, "rb") as source, open(temporary, "w+b") as file:
                        target = _Target(file)
                        with target.errors():
                            _sign(credentials, "video/mp4", source, target, claim, self.timestamp, original)
                except OSError as error:  # its message has the names of temporary files
                    raise Fd2TalkError(f"cannot sign {title}: {error.strerror or error}") from error
                return


def _claim(title: str, kind: str, action: str = "c2pa.created") -> dict[str, Any]:
    """The definition of a manifest with one action: its time, software, and type of media."""
    agent = {"name": "fd2talk", "version": version() or "unknown"}
    now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    done = {"action": action, "when": now, "softwareAgent": agent, "digitalSourceType": kind}
    return {
        "title": title,
        "claim_generator_info": [agent],
        "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": [done]}}],
    }


def _is_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and text.isprintable() and " " not in text
    except ValueError:
        return False


class _Target:
    """A file for the library to write to, which keeps OSErrors that the library would hide."""

    def __init__(self, file: BinaryIO) -> None:
        self._error: OSError | None = None
        for name in ("read", "write", "seek", "tell", "flush"):
            setattr(self, name, partial(self._call, getattr(file, name)))

    def _call(self, method: Callable, *given: Any) -> Any:
        try:
            return method(*given)
        except OSError as error:
            self._error = self._error or error
            raise

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Raise a kept OSError instead of the library's error."""
        try:
            yield
        except c2pa("signing").C2paError:
            if self._error is not None:
                raise self._error from None
            raise


class _NotNamed(Exception):
    """The original of an edit cannot be an ingredient of the manifest."""


def _sign(
    credentials: Credentials,
    kind: str,
    source: Any,
    target: Any,
    claim: dict[str, Any],
    timestamp: str | None = None,
    original: Path | None = None,
) -> None:
    """Write `source` to `target` with a manifest.

    Raises:
        C2paError: the library fails.
        _NotNamed: it does not accept the original as an ingredient.
    """
    library = c2pa("signing")
    info = library.C2paSignerInfo(credentials.algorithm, credentials.chain, credentials.key, timestamp)
    with (
        context() as settings,
        library.Signer.from_info(info) as signer,
        library.Builder({**claim, "format": kind}, settings) as builder,
    ):
        if original is not None:
            _name_original(builder, original)
        builder.sign(signer, kind, source, target)


def _name_original(builder: Any, original: Path) -> None:
    library = c2pa("signing")
    kind = mimetypes.guess_type(original.name)[0] or "application/octet-stream"
    try:
        with open(original, "rb") as file:
            builder.add_ingredient({"title": original.name, "relationship": "parentOf"}, kind, file)
        builder.set_intent(library.C2paBuilderIntent.EDIT)
    except library.C2paError as error:
        raise _NotNamed(reason(error)) from None


@contextmanager
def _failures(title: str) -> Iterator[None]:
    """Convert errors of the library; if the original is not accepted, warn, and let the caller go on without it."""
    try:
        yield
    except _NotNamed as error:
        warnings.warn(f"the C2PA manifest of {title} does not name the original: {error}", stacklevel=3)
    except c2pa("signing").C2paError as error:
        raise Fd2TalkError(f"cannot sign {title}: {reason(error)}") from error
