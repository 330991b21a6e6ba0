"""A Postgres server of its own for a peer that keeps its state in one: the system's programs, Postgres' defaults, new data in
a folder of the comparison's, on loopback only, ended with the comparison.

It refuses to run as root. Then it runs as `postgres`, whom the package brings, or as `nobody`.
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

DEBIAN = Path("/usr/lib/postgresql")
NEEDED = ("initdb", "postgres", "pg_isready")
SETTINGS = (
    "Postgres as the system's package has it, with its defaults (fsync and synchronous_commit on: synced at each commit; "
    "shared_buffers 128 MB), on loopback"
)


def programs() -> Path:
    """The folder of the newest server's programs. Raises NotInstalled."""
    of_debian = sorted(DEBIAN.glob("*/bin"), key=lambda path: float(path.parent.name), reverse=True)
    found = shutil.which("postgres")
    for folder in [*of_debian, *([Path(found).resolve().parent] if found else [])]:
        if all((folder / name).exists() for name in NEEDED):
            return folder
    raise NotInstalled(
        "there is no Postgres server here; install one (Debian: apt install postgresql), it need not be running"
    )


def version(folder: Path) -> str:
    said = subprocess.run([folder / "postgres", "--version"], capture_output=True, text=True, check=True)
    return said.stdout.split()[2]


def start(children: Children, programs: Path, folder: Path) -> tuple[str, int]:
    """The URL of a new, empty database, and the server's process. folder: of its data; has to be new."""
    user = None
    data = folder / "postgres"
    data.mkdir(mode=0o700)
    if os.geteuid() == 0:
        owner = _unprivileged()
        user = owner.pw_name
        folder.chmod(0o755)
        os.chown(data, owner.pw_uid, owner.pw_gid)
    made = subprocess.run(
        [programs / "initdb", "-D", data, "-U", "postgres", "-A", "trust"],
        user=user, extra_groups=[] if user else None,
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if made.returncode != 0:
        raise NotInstalled(f"initdb failed: {made.stderr.strip()[-300:]}")
    port = free_port()
    command = [str(programs / "postgres"), "-D", str(data), "-h", "127.0.0.1", "-p", str(port), "-k", ""]
    server = children.start(command, {}, folder / "postgres.log", user=user)
    ready = [programs / "pg_isready", "-h", "127.0.0.1", "-p", str(port)]

    def is_ready() -> bool | None:
        return True if subprocess.run(ready, capture_output=True, check=False).returncode == 0 else None

    until("Postgres accepts connections", is_ready, 60, every_s=0.02)
    return f"postgresql://postgres@127.0.0.1:{port}/bench_system", server.pid


def _unprivileged() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")
