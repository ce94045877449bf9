"""Reads and validates a certificate chain and its private key, before anything is signed."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from fd2talk.provenance.c2pa_library import c2pa
from shared.errors import InputError
from shared.files import check_input


@dataclass(frozen=True)
class Credentials:
    """Credentials for signing; certificates and key are left out of its repr.

    Args:
        algorithm: C2PA's name, such as `es256`.
        chain: certificates in PEM, the signer's first.
        key: private key in PEM (PKCS #8).
    """

    algorithm: str
    chain: bytes = field(repr=False)
    key: bytes = field(repr=False)


def read_credentials(certificate: Path, key: Path) -> Credentials:
    """Read both files.

    Raises:
        UsageError: c2pa-python is missing.
        InputError: a file is unreadable or not a certificate or key, the key belongs to another certificate, a
            certificate is self-signed, expired or not yet valid, or C2PA does not support the type of the key.
    """
    c2pa("signing")  # installs cryptography, too
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

    for what, named in (("certificate", certificate), ("key", key)):
        _require_name(what, named)
    chain, private = read_certificates(certificate), _private_key(key)
    try:
        public = [
            of.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) for of in (chain[0], private)
        ]
    except (ValueError, UnsupportedAlgorithm):
        raise InputError(f"{certificate}: the certificate's key is damaged, or of an unknown kind") from None
    if public[0] != public[1]:
        raise InputError(f"the key {key} does not belong to the certificate {certificate} (the first one in it)")
    if chain[0].issuer == chain[0].subject:
        raise InputError(
            f"{certificate} is self-signed, which C2PA refuses; an authority has to issue it, be it your own "
            "(docs/provenance.md)"
        )
    now = datetime.now(timezone.utc)
    for one in chain:
        name = _name(one)
        if now > one.not_valid_after_utc:
            raise InputError(f"{certificate}: the certificate of {name} expired on {one.not_valid_after_utc:%Y-%m-%d}")
        if now < one.not_valid_before_utc:
            raise InputError(f"{certificate}: the certificate of {name} begins on {one.not_valid_before_utc:%Y-%m-%d}")
    algorithm = _algorithm(private, key)
    pem = b"".join(one.public_bytes(Encoding.PEM) for one in chain)
    # The library accepts PKCS #8 only.
    return Credentials(algorithm, pem, private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def _require_name(what: str, path: Path) -> None:
    """Raises InputError: contents instead of a file name. The message does not repeat them: they may be a key."""
    text = str(path)
    looks_so = "-----BEGIN" in text or "\n" in text or re.fullmatch(r"[A-Za-z0-9+/=\s]{60,}", text)
    if looks_so and not os.path.exists(path):
        kind = "a key or a certificate" if "-----BEGIN" in text else "no name of a file"
        raise InputError(
            f"where the {what}'s file is to be named stands {kind}, which is not shown here: --c2pa-{what} and "
            f"FD2TALK_C2PA_{what.upper()} take the name of a file"
        )


def read_certificates(path: Path) -> list[Any]:
    """Read the certificates of a file, of the package cryptography.

    Raises:
        InputError: there are none, or one is damaged.
    """
    from cryptography import x509

    content = check_input(path).read_bytes()
    if b"-----BEGIN CERTIFICATE-----" not in content:
        raise InputError(f"{path}: no certificate in PEM form (-----BEGIN CERTIFICATE-----)")
    try:
        found = x509.load_pem_x509_certificates(content)
        for one in found:  # fields are parsed lazily, and may be damaged
            _ = one.subject, one.issuer, one.not_valid_before_utc, one.not_valid_after_utc
    except ValueError:
        raise InputError(f"{path}: not a certificate (what stands between its PEM lines is damaged)") from None
    return found


def _private_key(path: Path) -> Any:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    # Messages of the library are not repeated: they could contain parts of the key.
    try:
        return load_pem_private_key(check_input(path).read_bytes(), password=None)
    except TypeError:
        raise InputError(f"{path}: the key is encrypted; a file without a password is needed") from None
    except (ValueError, UnsupportedAlgorithm):
        raise InputError(f"{path}: no private key in PEM form (-----BEGIN PRIVATE KEY-----)") from None


def _algorithm(private: Any, path: Path) -> str:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

    curves = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}
    if isinstance(private, EllipticCurvePrivateKey) and private.curve.name in curves:
        return curves[private.curve.name]
    if isinstance(private, Ed25519PrivateKey):
        return "ed25519"
    if isinstance(private, RSAPrivateKey) and private.key_size >= 2048:
        return "ps256"
    raise InputError(f"{path}: C2PA takes keys of P-256, P-384, P-521, Ed25519, or RSA from 2048 bits on")


def _name(certificate: Any) -> str:
    from cryptography.x509.oid import NameOID

    for attribute in (NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME):
        if found := certificate.subject.get_attributes_for_oid(attribute):
            return str(found[0].value)
    return certificate.subject.rfc4514_string()
