# /// script
# requires-python = ">=3.11"
# dependencies = ["nox>=2025.5.1"]
# ///
"""
Run the project's tasks: ``python3 noxfile.py -s demo``, ``python3 noxfile.py -s tests``, ``python3 noxfile.py --list``.

A machine needs Python 3.11 and pip 22.3, nothing else: where nox is missing, this file puts it into a folder of its own
below ``.nox`` and starts itself again there. ``-P 3.13`` runs a session on another Python.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

NOX = "nox>=2025.5.1"
ROOT = Path(__file__).resolve().parent


def executable(environment: Path, name: str) -> Path:
    """Return the path of a program in a virtual environment."""
    return environment / "Scripts" / f"{name}.exe" if os.name == "nt" else environment / "bin" / name


def start_again_with_nox() -> int:
    """
    Run this file in an environment that has nox, made with the standard library and pip alone; return its exit code.

    Debian has neither ensurepip, so that the environment must be made without pip, nor lets pip install outside one
    (PEP 668); so the machine's pip fills the environment from without.
    """
    if sys.version_info < (3, 11):  # noqa: UP036  # whoever starts this file may have an older one
        raise SystemExit(f"apsched needs Python 3.11 or later, this is {sys.version.split()[0]}; start a later one")
    # One for each Python: sessions run on the Python of their runner.
    runner = ROOT / ".nox" / f".runner-{sys.version_info.major}.{sys.version_info.minor}"
    python = str(executable(runner, "python"))
    if not can_import_nox(python):
        subprocess.check_call([sys.executable, "-m", "venv", "--clear", "--without-pip", str(runner)])
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python]
        if subprocess.call([*pip, "install", "--quiet", NOX]):
            raise SystemExit("nox could not be installed; pip must be there (Debian: python3-pip) and be 22.3 or later")
    return subprocess.call([python, __file__, *sys.argv[1:]])


def can_import_nox(python: str) -> bool:
    """Tell whether an earlier start has made the environment and finished."""
    return Path(python).exists() and not subprocess.call([python, "-c", "import nox"], stderr=subprocess.DEVNULL)


try:
    import nox
except ImportError:
    if __name__ != "__main__":
        raise
    raise SystemExit(start_again_with_nox()) from None

nox.needs_version = ">=2025.5.1"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_venv = "yes"
nox.options.sessions = ["tests"]

STORE_EXTRAS = ("sqlite", "postgresql", "mysql", "mongodb", "redis", "cbor")
EXTRAS = (*STORE_EXTRAS, "cli", "dashboard", "metrics", "otel", "sentry")  # what the tests use
SERVERS = {  # program -> Debian's packages; a browser is one of them
    "mariadbd": "mariadb-server-core mariadb-client-core",
    "redis-check-rdb": "redis-tools",
    "chromium": "chromium",
}
TRIO = "trio>=0.31"
IN_PARALLEL = ("-n", str(min(4, os.cpu_count() or 1)), "--dist", "worksteal")  # each has servers of its own

PROJECT = nox.project.load_toml(ROOT / "pyproject.toml")


def install(session: nox.Session, *requirements: str, group: str) -> None:
    """Install *requirements* and a dependency group; Debian's pip cannot read groups itself."""
    session.install("-q", *requirements, *nox.project.dependency_groups(PROJECT, group))


def install_with_extras(session: nox.Session, *requirements: str, group: str) -> None:
    """Install this project with its stores, *requirements* and a dependency group."""
    install(session, "-e", f".[{','.join(EXTRAS)}]", *requirements, group=group)


def install_servers(session: nox.Session) -> None:
    """Install those servers that PyPI does not have, where that is possible; the tests tell what is missing then."""
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin"))
    wanted = [packages for program, packages in SERVERS.items() if not shutil.which(program, path=path)]
    if wanted and shutil.which("apt-get") and os.geteuid() == 0:
        apt = {"external": True, "env": {"DEBIAN_FRONTEND": "noninteractive"}, "success_codes": range(256)}
        session.run("apt-get", "update", "-qq", **apt)
        session.run("apt-get", "install", "-y", "-qq", "--no-install-recommends", *" ".join(wanted).split(), **apt)


@nox.session
def demo(session: nox.Session) -> None:
    """Show a scheduler at work; kill it and start it again: it goes on."""
    session.install("-q", ".[sqlite]")
    session.run("python", "-m", "apsched.demo", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """Run the test suite, on servers that it starts itself; arguments after -- go to pytest."""
    install_servers(session)
    install_with_extras(session, group="test")
    session.run("pytest", *IN_PARALLEL, *session.posargs)


@nox.session
def cluster(session: nox.Session) -> None:
    """Let 1, 2 and 4 nodes share 10,000 jobs in every store, and break nodes, networks and servers."""
    install_servers(session)
    install_with_extras(session, group="test")
    session.run("pytest", "tests/cluster", *session.posargs, env={"APSCHED_CLUSTER_JOBS": "10000"})


@nox.session
def engines(session: nox.Session) -> None:
    """Run jobs on a Dask cluster and on a Celery worker."""
    install_servers(session)
    install(session, "-e", ".[dask,celery]", group="engines")
    session.run("pytest", "tests/engines", *session.posargs, env={"APSCHED_TEST_ENGINES": "1"})


@nox.session
def chaos(session: nox.Session) -> None:
    """Break nodes, networks and servers at random for 5 minutes a store; `-- redis --seed 1 --minutes 2 --nodes 4`."""
    install_servers(session)
    install(session, "-e", f".[{','.join(STORE_EXTRAS)}]", TRIO, group="servers")
    session.run("python", "-m", "tests.chaos", *session.posargs)


@nox.session
def soak(session: nox.Session) -> None:
    """Let one scheduler make a million runs in memory, and 200,000 in a file, without growing."""
    install(session, "-e", ".[sqlite]", group="test")
    session.run("python", "-m", "tests.soak", *session.posargs)


@nox.session
def lowest(session: nox.Session) -> None:
    """Run the fast tests with the oldest dependencies that pyproject.toml allows."""
    install_servers(session)
    allowed = [*PROJECT["project"]["dependencies"]]
    for extra in EXTRAS:
        allowed += PROJECT["project"]["optional-dependencies"][extra]
    install_with_extras(session, *map(oldest, allowed), group="test")
    session.run("pytest", "-m", "not slow", *session.posargs)


def oldest(requirement: str) -> str:
    """Return the lower bound of a requirement as a pin: ``anyio>=4.16,<5`` gives ``anyio==4.16``."""
    return re.sub(r">=([^,;\s]+)[^;]*", r"==\1", requirement)


@nox.session
def coverage(session: nox.Session) -> None:
    """Measure which lines and branches the tests reach."""
    install_servers(session)
    install_with_extras(session, group="test")
    session.run("coverage", "erase")
    session.run("coverage", "run", "-m", "pytest", *session.posargs)
    session.run("coverage", "combine", "--quiet")
    session.run("coverage", "report")


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, spelling and layers; `-- --fix` mends what can be mended."""
    install(session, group="lint")
    fix = "--fix" in session.posargs
    session.run("ruff", "check", *(["--fix"] if fix else []))
    session.run("ruff", "format", *([] if fix else ["--check"]))
    session.run("codespell")
    session.run("lint-imports", "--no-logo")


@nox.session
def types(session: nox.Session) -> None:
    """Check types with mypy and pyright, and that every public name has one."""
    install_with_extras(session, group="types")
    session.run("mypy")
    session.run("pyright")
    verify = ("pyright", "--verifytypes", "apsched", "--ignoreexternal", "--outputjson")
    report = json.loads(str(session.run(*verify, silent=True, success_codes=(0, 1))))
    symbols = report["typeCompleteness"]["symbols"]
    if not symbols:
        session.error("pyright has found no public names")
    if untyped := [symbol["name"] for symbol in symbols if is_untyped(symbol)]:
        session.error("these public names need a type annotation: " + ", ".join(untyped))


def is_untyped(symbol: dict[str, Any]) -> bool:
    """
    Whether a public name lacks a written type.

    The verbs of the blocking face are derived, and a test types them; so what takes a blocking scheduler counts as not
    wholly known, and the modules that do are left to mypy and pyright. What `except ... as exc` binds is no name of a
    module, since it is gone at the end of its block.
    """
    is_complete = symbol["isTypeKnown"] and not symbol["isTypeAmbiguous"]
    is_left_out = symbol["name"].startswith(DERIVED) or symbol["name"].endswith(".exc")
    return symbol["isExported"] and not is_complete and not is_left_out


DERIVED = tuple(f"apsched.{name}." for name in ("schedulers", "integrations", "testing", "web"))  # or take what is


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation into docs/_build/html and run its examples."""
    install(session, "-e", ".[all]", group="docs")
    for builder in ("html", "doctest"):
        session.run("sphinx-build", "-W", "--keep-going", "-q", "-b", builder, "docs", f"docs/_build/{builder}")


@nox.session
def bench(session: nox.Session) -> None:
    """Run the benchmarks: all, or the files named after --."""
    install_servers(session)
    install(session, f".[{','.join(EXTRAS)}]", group="bench")
    for file in session.posargs or sorted(map(str, Path("benchmarks").glob("[!_]*.py"))):
        session.run("python", file)


@nox.session
def build(session: nox.Session) -> None:
    """Build the sdist and the wheel, check them, and import the wheel where nothing else is."""
    install(session, group="release")
    out = Path(session.create_tmp()).resolve()
    session.run("python", "-m", "build", "--outdir", str(out / "dist"))
    files = sorted(str(file) for file in (out / "dist").iterdir())
    session.run("twine", "check", "--strict", *files)
    session.run("virtualenv", "--quiet", "--clear", str(out / "fresh"))
    python = str(executable(out / "fresh", "python"))
    wheel = next(file for file in files if file.endswith(".whl"))
    session.run(python, "-m", "pip", "install", "--quiet", wheel, external=True)
    with session.chdir(out):
        session.run(python, "-I", "-W", "error", "-c", "import apsched; print(apsched)", external=True)


@nox.session(python=False, default=False)
def dev(session: nox.Session) -> None:
    """Make .venv, with apsched from this checkout and the tools of every session."""
    install_servers(session)
    environment = ROOT / ".venv"
    if not environment.exists():
        session.run(sys.executable, "-m", "virtualenv", "--quiet", str(environment), external=True)
    groups = nox.project.dependency_groups(PROJECT, *PROJECT["dependency-groups"])
    python = str(executable(environment, "python"))
    session.run(python, "-m", "pip", "install", "--quiet", "-e", f".[{','.join(EXTRAS)}]", *groups, external=True)


if __name__ == "__main__":
    nox.main()
