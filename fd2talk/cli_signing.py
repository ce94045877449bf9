"""Signing of videos, an option of every command that writes some, and `fd2talk verify`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from fd2talk import cli_options as common

if TYPE_CHECKING:
    from fd2talk.provenance.signer import Signer


def _signer(c2pa_certificate: str | None, c2pa_key: str | None, c2pa_timestamp: str | None) -> Signer | None:
    if c2pa_certificate is c2pa_key is c2pa_timestamp is None:
        return None
    from fd2talk.provenance.signer import Signer

    return Signer.from_options(c2pa_certificate, c2pa_key, c2pa_timestamp)


signing = common.group(
    "signer",
    _signer,
    click.option(
        "--c2pa-certificate",
        envvar="FD2TALK_C2PA_CERTIFICATE",
        metavar="CERT.pem",
        help="Sign the video with C2PA: the certificate and those of its authorities (docs/provenance.md). It needs "
        "--c2pa-key and pip install 'fd2talk[provenance]'. The variable FD2TALK_C2PA_CERTIFICATE sets it, too.",
    ),
    click.option(
        "--c2pa-key",
        envvar="FD2TALK_C2PA_KEY",
        metavar="KEY.pem",
        help="The file with its private key, without a password; or the variable FD2TALK_C2PA_KEY.",
    ),
    click.option(
        "--c2pa-timestamp",
        envvar="FD2TALK_C2PA_TIMESTAMP",
        metavar="URL",
        help="Address of a time stamp authority (RFC 3161), which is sent a hash of the signature; or the variable "
        "FD2TALK_C2PA_TIMESTAMP.",
    ),
)
"""Decorator: the command gets a `signer`, which has been checked, or None."""


@click.command()
@click.argument("file")
@click.option("--json", "as_json", is_flag=True, help="Print it for programs.")
@click.option(
    "--trust",
    metavar="CA.pem",
    help="Certificates of authorities; then only what is signed with a certificate of theirs counts.",
)
def verify(**options: Any) -> int:
    """Say what FILE carries of where it comes from.

    Of videos, motion files and meshes of fd2talk their tag, and of any file its C2PA manifest: whether it fits the
    file, who signed it, and what it claims. The exit code is 0 for a mark that holds, 1 for none or one that is broken,
    and 2 for a file that cannot be read.
    """
    from fd2talk.commands.verify import verify

    return verify(**options)


COMMANDS = (verify,)
