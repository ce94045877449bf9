"""Everything that is wrong with a certificate or a key is said in one line, without a part of the key."""

from pathlib import Path

import pytest

pytest.importorskip("c2pa", reason="signing needs the extra provenance")

from certificates import KEYS, key_bytes, self_signed  # noqa: E402

from fd2talk.provenance.credentials import read_credentials  # noqa: E402
from shared.errors import InputError  # noqa: E402


@pytest.mark.parametrize("algorithm", KEYS)
def test_kinds_of_keys(authority, algorithm):
    found = read_credentials(*authority.signer(f"key {algorithm}", algorithm=algorithm))
    assert found.algorithm == algorithm
    assert "PRIVATE" not in repr(found) and "CERTIFICATE" not in repr(found)


def test_a_key_of_openssl_s_older_form(authority):
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

    certificate, path = authority.signer("older")
    key = load_pem_private_key(path.read_bytes(), None)
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()))
    assert b"BEGIN PRIVATE KEY" in read_credentials(certificate, path).key


def test_what_is_wrong(authority, tmp_path):
    certificate, key = authority.signer("right")
    text = tmp_path / "text.pem"
    text.write_text("-----BEGIN PRIVATE KEY-----\nbm90aGluZw==\n-----END PRIVATE KEY-----\n")
    locked = tmp_path / "locked.key"
    locked.write_bytes(key_bytes(KEYS["es256"](), b"secret"))
    small = authority.signer("small")
    from cryptography.hazmat.primitives.asymmetric import ec

    curve = ec.generate_private_key(ec.SECP256K1())
    odd = _issued(authority, curve, tmp_path)
    for given, saying in [
        ((certificate, authority.signer("other")[1]), "does not belong to the certificate"),
        (authority.signer("late", days=(-10, -3)), "late expired on"),
        (authority.signer("early", days=(3, 10)), "early begins on"),
        (self_signed(tmp_path), "self-signed"),
        ((text, key), "no certificate"),
        ((certificate, text), "no private key"),
        ((certificate, certificate), "no private key"),
        ((certificate, locked), "encrypted"),
        ((tmp_path / "none.pem", key), "there is no such file"),
        ((certificate, tmp_path / "none.key"), "there is no such file"),
        (odd, "C2PA takes keys of"),
        ((small[0], text), "no private key"),
    ]:
        with pytest.raises(InputError, match=saying) as caught:
            read_credentials(*given)
        assert "\n" not in str(caught.value) and "bm90" not in str(caught.value)


def _issued(authority, key, folder):
    """A certificate for a key of a kind that the helper does not make."""
    KEYS["odd"] = lambda: key
    try:
        return authority.signer("odd", algorithm="odd")
    finally:
        del KEYS["odd"]


def test_content_instead_of_a_name_is_never_repeated(authority):
    certificate, key = authority.signer("named")
    text = key.read_text()
    body = "".join(text.split("\n")[1:-2])
    for content in (text, text.replace("\n", "\\n"), text.replace("\n", " "), body, body + "\n"):
        for given, what in [((certificate, Path(content)), "key"), ((Path(content), key), "certificate")]:
            with pytest.raises(
                InputError, match=f"--c2pa-{what} and FD2TALK_C2PA_{what.upper()} take the name of"
            ) as caught:
                read_credentials(*given)
            assert body[:12] not in str(caught.value) and body[-12:] not in str(caught.value)
    with pytest.raises(InputError, match="no/such/file.key"):
        read_credentials(certificate, Path("no/such/file.key"))


def test_damaged_certificates_are_said_to_be_damaged(authority, tmp_path):
    certificate, key = authority.signer("whole")
    lines = certificate.read_text().split("\n")
    for inner in (["bm90aGluZw=="], ["%%%"], lines[1:4]):
        (tmp_path / "junk.pem").write_text("\n".join([lines[0], *inner, lines[-2], ""]))
        with pytest.raises(InputError, match="junk.pem: not a certificate"):
            read_credentials(tmp_path / "junk.pem", key)
