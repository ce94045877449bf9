"""Certificates for tests: an authority of one's own, and signers that it vouches for (docs/provenance.md)."""

from datetime import datetime, timedelta, timezone

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

KEYS = {
    "es256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "es384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "es512": lambda: ec.generate_private_key(ec.SECP521R1()),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
    "ps256": lambda: rsa.generate_private_key(65537, 2048),
}


class Authority:
    """An authority whose certificate is in `path`."""

    def __init__(self, folder, name="Test Authority"):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.name, self.key = folder, _name(name), KEYS["es256"]()
        usage = _usage(key_cert_sign=True, crl_sign=True)
        self.certificate = _certificate(
            self.name,
            self.name,
            self.key,
            self.key,
            self.key,
            0,
            [(x509.BasicConstraints(True, 0), True), (usage, True)],
        )
        self.path = folder / "authority.pem"
        self.path.write_bytes(self.certificate.public_bytes(Encoding.PEM))

    def signer(
        self,
        name="signer",
        *,
        algorithm="es256",
        days=(-1, 30),
        purpose=ExtendedKeyUsageOID.EMAIL_PROTECTION,
        critical=False,
    ):
        """A certificate and its key: two paths.

        Args:
            name: of the signer, and of the files.
            algorithm: one of `KEYS`.
            days: from when to when it is valid, from today on.
            purpose: extended key usage, None: without.
            critical: whether that has to be understood, as for time stamps.
        """
        key = KEYS[algorithm]()
        extensions = [(x509.BasicConstraints(False, None), True), (_usage(digital_signature=True), True)]
        if purpose is not None:
            extensions.append((x509.ExtendedKeyUsage([purpose]), critical))
        certificate = _certificate(_name(name), self.name, key, self.key, self.key, days, extensions)
        paths = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        paths[0].write_bytes(certificate.public_bytes(Encoding.PEM))
        paths[1].write_bytes(key_bytes(key))
        return paths


def self_signed(folder, name="alone"):
    """A certificate that nobody issued, and its key."""
    key = KEYS["es256"]()
    extensions = [
        (x509.BasicConstraints(False, None), True),
        (_usage(digital_signature=True), True),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), False),
    ]
    certificate = _certificate(_name(name), _name(name), key, key, key, 30, extensions)
    paths = folder / f"{name}.pem", folder / f"{name}.key"
    paths[0].write_bytes(certificate.public_bytes(Encoding.PEM))
    paths[1].write_bytes(key_bytes(key))
    return paths


def key_bytes(key, password=None):
    encryption = NoEncryption() if password is None else BestAvailableEncryption(password)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)


def _name(common):
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, f"{common} Ltd"),
            x509.NameAttribute(NameOID.COMMON_NAME, common),
        ]
    )


def _usage(**on):
    names = (
        "digital_signature content_commitment key_encipherment data_encipherment key_agreement key_cert_sign crl_sign "
        "encipher_only decipher_only"
    )
    return x509.KeyUsage(**{name: on.get(name, False) for name in names.split()})


def _certificate(subject, issuer, key, issuer_key, signing_key, days, extensions):
    begins, ends = days if isinstance(days, tuple) else (-1, 365)
    now = datetime.now(timezone.utc)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + timedelta(days=begins))
        .not_valid_after(now + timedelta(days=ends))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), False)
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(signing_key, hashes.SHA256())
