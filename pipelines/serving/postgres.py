"""PostgreSQL of `make stack`: make its database at the first start, then become the server.

    python -m pipelines.serving.postgres

Debian's binaries are used, or those on the PATH. PostgreSQL refuses to run as root; started by root, it runs as the
user `postgres`, which must be able to enter the stack's folder.
"""

import os
import pwd
import shutil
import subprocess
import sys
from pathlib import Path

from pipelines.serving.stack import stack_folder
from taproom.errors import TaproomError

DEBIAN = Path("/usr/lib/postgresql")
USER = "postgres"  # Debian's


def main() -> None:
    """Become the server, on the loopback interface alone."""
    binaries, folder = postgres_binaries(), stack_folder() / "postgres"
    if os.geteuid() == 0:
        folder.mkdir(mode=0o700, exist_ok=True)
        _become(USER, folder)
    data = folder / "data"
    if not data.exists():
        _make_cluster(binaries, data)
    options = [f"listen_addresses={os.environ['PGHOST']}", f"port={os.environ['PGPORT']}", "unix_socket_directories="]
    os.execv(binaries / "postgres", ["postgres", "-D", str(data), *(f"--{option}" for option in options)])


def postgres_binaries() -> Path:
    """The folder of PostgreSQL's programs.

    Raises:
        TaproomError: PostgreSQL is not installed.
    """
    if found := shutil.which("postgres"):
        return Path(found).resolve().parent
    versions = sorted(DEBIAN.glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    if not versions:
        raise TaproomError(f"PostgreSQL is neither on the PATH nor in {DEBIAN}. Install it: apt-get install postgresql")
    return versions[-1].parent


def _become(name: str, folder: Path) -> None:
    """Give the folder to a user and continue as that user."""
    try:
        user = pwd.getpwnam(name)
    except KeyError:
        raise TaproomError(f"There is no user {name!r} to run PostgreSQL, which refuses root: adduser {name}") from None
    os.chown(folder, user.pw_uid, user.pw_gid)
    os.setgroups([])
    os.setgid(user.pw_gid)
    os.setuid(user.pw_uid)
    os.umask(0o077)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise TaproomError(
            f"The user {name!r} cannot enter {folder}. Let it enter the folders above, set TAPROOM_STACK to another "
            "folder, or run `make stack` as an ordinary user."
        )


def _make_cluster(binaries: Path, data: Path) -> None:
    """Make a cluster with one user and one database; one that was begun before and not completed is replaced."""
    begun = data.with_name("begun")
    shutil.rmtree(begun, ignore_errors=True)
    begun.mkdir(mode=0o700, parents=True)
    initdb = [
        str(binaries / "initdb"), "--pgdata", str(begun), "--username", os.environ["PGUSER"], "--pwfile", "/dev/stdin",
        "--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C.UTF-8", "--no-instructions",
    ]  # fmt: skip
    subprocess.run(initdb, input=os.environ["PGPASSWORD"], text=True, check=True)
    create = f'create database "{os.environ["PGDATABASE"]}";\n'
    subprocess.run([binaries / "postgres", "--single", "-D", begun, "postgres"], input=create, text=True, check=True)
    begun.rename(data)


if __name__ == "__main__":
    try:
        main()
    except TaproomError as error:
        sys.exit(f"Failed: {error}")
