"""Servers outside of the process, for the clients."""

import shutil
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.outside import Secure, outside_server


@pytest.fixture(scope="package")
def server() -> Iterator[str]:
    """The URL of an HTTP server in a process of its own, without the last slash."""
    with outside_server() as port:
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(scope="package")
def secure_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secure]:
    """The same with TLS, and what a client needs to trust it."""
    if (openssl := shutil.which("openssl")) is None:
        pytest.skip("needs the command openssl, which makes a certificate")
    folder: Path = tmp_path_factory.mktemp("certificate")
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    subprocess.run(
        [
            *(openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", key, "-out", certificate),
        ],
        check=True,
        capture_output=True,
    )
    context = ssl.create_default_context(cafile=str(certificate))
    with outside_server(certificate, key) as port:
        yield Secure(f"https://127.0.0.1:{port}", context)
