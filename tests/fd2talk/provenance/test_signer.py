import http.server
import pickle
import shutil
import socket
import subprocess
import sys
import threading
import warnings
from datetime import datetime, timezone

import numpy as np
import pytest

pytest.importorskip("c2pa", reason="signing needs the extra provenance")

from certificates import KEYS  # noqa: E402

from fd2talk.output import write_video  # noqa: E402
from fd2talk.provenance.manifest import read_manifest  # noqa: E402
from fd2talk.provenance.signer import CERTIFICATE_VARIABLE, KEY_VARIABLE, Signer  # noqa: E402
from shared.errors import Fd2TalkError, InputError, UsageError  # noqa: E402
from shared.media import read_audio, read_video  # noqa: E402


def test_a_signed_video_says_that_it_is_synthetic(signed, frames, tmp_path):
    found = read_manifest(signed)
    assert found.intact and (found.signer, found.organisation) == ("Anna", "Anna Ltd")
    assert found.title == "talk.mp4" and found.generator.startswith("fd2talk ")
    (action,) = found.actions
    assert (action.action, action.source_type) == ("c2pa.created", "trainedAlgorithmicMedia")
    assert action.agent.startswith("fd2talk ") and action.when
    assert not found.originals

    write_video(tmp_path / "plain.mp4", frames, audio=np.zeros(6400, np.float32))
    for one, other in zip(read_video(signed), read_video(tmp_path / "plain.mp4"), strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(read_audio(signed), read_audio(tmp_path / "plain.mp4"))
    assert [path.name for path in signed.parent.iterdir()] == ["talk.mp4"]


def test_it_still_begins_with_its_index(signed):
    data = signed.read_bytes()
    assert 0 < data.index(b"moov") < data.index(b"mdat")


@pytest.mark.parametrize("algorithm", KEYS)
def test_every_kind_of_key_signs(authority, frames, tmp_path, algorithm):
    signer = Signer.load(*authority.signer(f"signs {algorithm}", algorithm=algorithm))
    write_video(tmp_path / "o.mp4", frames[:2], signer=signer)
    assert read_manifest(tmp_path / "o.mp4", authority.path.read_text()).trusted


def test_what_c2pa_refuses(authority):
    from cryptography.x509.oid import ExtendedKeyUsageOID

    for name, purpose in [("no purpose", None), ("server", ExtendedKeyUsageOID.SERVER_AUTH)]:
        with pytest.raises(InputError, match="C2PA refuses this certificate") as caught:
            Signer.load(*authority.signer(name, purpose=purpose))
        assert "\n" not in str(caught.value)


def test_neither_print_nor_pickle_shows_the_key(signer):
    secret = signer.key.read_text().split("\n")[1]
    assert secret not in repr(signer) and secret.encode() not in pickle.dumps(signer)
    assert pickle.loads(pickle.dumps(signer)) == signer


def test_options_and_environment(authority, monkeypatch):
    certificate, key = map(str, authority.signer("options"))
    assert Signer.from_options(None, None) is None
    assert Signer.from_options(certificate, key).certificate.name == "options.pem"
    for given, lacking in [((certificate, None), "--c2pa-key"), ((None, key), "--c2pa-certificate")]:
        with pytest.raises(UsageError, match=lacking):
            Signer.from_options(*given)
    monkeypatch.delenv(CERTIFICATE_VARIABLE, raising=False)
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    assert Signer.from_environment() is None
    monkeypatch.setenv(CERTIFICATE_VARIABLE, certificate)
    with pytest.raises(UsageError, match="--c2pa-key"):
        Signer.from_environment()
    monkeypatch.setenv(KEY_VARIABLE, key)
    assert Signer.from_environment() == Signer.load(certificate, key)


def test_without_the_package(authority, monkeypatch):
    paths = authority.signer("lonely")
    monkeypatch.setitem(sys.modules, "c2pa", None)
    with pytest.raises(UsageError, match=r"pip install 'fd2talk\[provenance\]'"):
        Signer.load(*paths)


def test_a_failure_at_the_end_leaves_nothing(authority, frames, tmp_path):
    certificate, key = authority.signer("leaves")
    signer = Signer.load(certificate, key)
    key.unlink()
    with pytest.raises(InputError, match="no such file"):
        write_video(tmp_path / "o.mp4", frames, signer=signer)
    assert not list(tmp_path.iterdir())
    # What is no video is refused by the library, and stays as it was.
    key.write_bytes(authority.signer("again")[1].read_bytes())
    whole = Signer.load(*authority.signer("whole"))
    (tmp_path / "no.mp4").write_bytes(b"no video" * 10)
    with pytest.raises(Fd2TalkError, match="cannot sign no.mp4"):
        whole.sign(tmp_path / "no.mp4", title="no.mp4")
    assert [path.name for path in tmp_path.iterdir()] == ["no.mp4"]
    assert (tmp_path / "no.mp4").read_bytes() == b"no video" * 10


def test_an_edit_names_its_original(signed, signer, frames, tmp_path):
    write_video(tmp_path / "new.mp4", frames[:5], signer=signer.editing(signed))
    found = read_manifest(tmp_path / "new.mp4")
    assert found.intact and found.originals == ("talk.mp4",) and not found.original_problems
    assert [action.action for action in found.actions] == ["c2pa.opened", "c2pa.edited"]
    assert found.actions[-1].source_type == "compositeWithTrainedAlgorithmicMedia"


def test_an_original_that_was_changed_before(signed, signer, frames, tmp_path):
    data = signed.read_bytes()
    (tmp_path / "changed.mp4").write_bytes(data.replace(b"fd2talk, seed 7", b"fd2talk, seed 8"))
    write_video(tmp_path / "new.mp4", frames[:5], signer=signer.editing(tmp_path / "changed.mp4"))
    found = read_manifest(tmp_path / "new.mp4")
    assert found.intact and found.originals == ("changed.mp4",)
    assert "bmffHash" in " ".join(found.original_problems)


def test_an_original_that_c2pa_cannot_name(signed, signer, frames, tmp_path):
    original = tmp_path / "damaged.mp4"
    original.write_bytes(b"junk" * 100)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        write_video(tmp_path / "new.mp4", frames[:3], signer=signer.editing(original))
    assert any("does not name the original" in str(one.message) for one in caught)
    found = read_manifest(tmp_path / "new.mp4")
    assert found.intact and not found.originals
    (action,) = found.actions
    assert (action.action, action.source_type) == ("c2pa.created", "compositeWithTrainedAlgorithmicMedia")


@pytest.fixture
def time_stamps(authority, tmp_path):
    """A time stamp authority made of openssl: its address, and the queries that it got."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl plays the time stamp authority")
    from cryptography.x509.oid import ExtendedKeyUsageOID

    certificate, key = authority.signer("Clock", purpose=ExtendedKeyUsageOID.TIME_STAMPING, critical=True)
    folder = tmp_path / "clock"
    folder.mkdir()
    (folder / "serial").write_text("01")
    (folder / "tsa.cnf").write_text(
        f"[tsa]\ndefault_tsa = clock\n[clock]\nserial = {folder}/serial\nsigner_cert = {certificate}\n"
        f"certs = {authority.path}\nsigner_key = {key}\nsigner_digest = sha256\ndefault_policy = 1.2.3.4.1\n"
        "digests = sha256, sha384, sha512\ness_cert_id_alg = sha256\n"
    )
    queries = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            query = self.rfile.read(int(self.headers["Content-Length"]))
            queries.append(query)
            (folder / "query").write_bytes(query)
            command = [openssl, "ts", "-reply", "-config", "tsa.cnf", "-queryfile", "query", "-out", "reply"]
            subprocess.run(command, cwd=folder, check=True, capture_output=True)
            reply = (folder / "reply").read_bytes()
            self.send_response(200)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.send_header("Content-Length", str(len(reply)))
            self.end_headers()
            self.wfile.write(reply)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", queries
    server.shutdown()
    server.server_close()


def today():
    return f"{datetime.now(timezone.utc):%Y-%m-%d}"


def test_a_time_stamp(authority, time_stamps, frames, tmp_path):
    address, queries = time_stamps
    signer = Signer.load(*authority.signer("Punctual"), timestamp=address)
    assert len(queries) == 1
    days = {today()}
    write_video(tmp_path / "o.mp4", frames[:3], signer=signer)
    days.add(today())
    assert len(queries) == 2 and max(map(len, queries)) < 500, "more than a hash"
    found = read_manifest(tmp_path / "o.mp4", authority.path.read_text())
    assert found.intact and found.signed_at[:10] in days


def test_an_authority_that_does_not_answer(authority):
    with socket.socket() as silent:  # nobody listens, and nobody else can do so there
        silent.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(Fd2TalkError, match="no time stamp from") as caught:
            Signer.load(*authority.signer("Waiting"), timestamp=address)
    assert "\n" not in str(caught.value)
    with pytest.raises(UsageError, match="--c2pa-certificate"):
        Signer.from_options(None, None, address)


def test_a_full_disk_is_said(signer, frames, tmp_path):
    """A limit on the size of files fails as a full disk does: in the middle of what the library writes."""
    resource = pytest.importorskip("resource")
    write_video(tmp_path / "o.mp4", frames)
    before = (tmp_path / "o.mp4").read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, limits[1]))
    try:
        with pytest.raises(Fd2TalkError, match="^cannot sign o.mp4: File too large$"):
            signer.sign(tmp_path / "o.mp4", title="o.mp4")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [path.name for path in tmp_path.iterdir()] == ["o.mp4"] and (tmp_path / "o.mp4").read_bytes() == before


@pytest.mark.parametrize(
    "address", ["garbage", "http://", "ftp://a.b", "http://a b", "http://[", "-----BEGIN KEY-----"]
)
def test_no_address_of_an_authority(authority, address):
    with pytest.raises(UsageError, match="takes the address of a time stamp authority") as caught:
        Signer.load(*authority.signer("clockless"), timestamp=address)
    assert "BEGIN" not in str(caught.value)
