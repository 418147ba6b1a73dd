"""A certificate authority of the test's own, made with openssl."""

import subprocess
from pathlib import Path


def make_authority(folder: Path) -> None:
    """Write `ca.crt` and `ca.key`."""
    _openssl(
        folder,
        *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
        *("-days", "2", "-subj", "/CN=Test authority", "-keyout", "ca.key", "-out", "ca.crt"),
    )


def issue(folder: Path, name: str) -> None:
    """Write `NAME.crt` and `NAME.key` with common name NAME, good for 127.0.0.1."""
    _openssl(
        folder,
        *("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
        *("-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr"),
    )
    (folder / "extensions").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
    _openssl(
        folder,
        *("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key"),
        *("-CAcreateserial", "-days", "2", "-extfile", "extensions", "-out", f"{name}.crt"),
    )
    for suffix in (".key", ".crt"):
        (folder / f"{name}{suffix}").chmod(0o644)  # the broker drops to a user of its own


def _openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)
