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
    folder = stack_folder() / "postgres"
    data = folder / "data"
    binaries = postgres_binaries(data)
    if os.geteuid() == 0:
        folder.mkdir(mode=0o700, exist_ok=True)
        _become(USER, folder)
    if not data.exists():
        _make_cluster(binaries, data)
    options = [f"listen_addresses={os.environ['PGHOST']}", f"port={os.environ['PGPORT']}", "unix_socket_directories="]
    os.execv(binaries / "postgres", ["postgres", "-D", str(data), *(f"--{option}" for option in options)])


def postgres_binaries(data: Path) -> Path:
    """The folder of PostgreSQL's programs, of the version that made the cluster `data`.

    Where there is no cluster yet: of the version on the PATH, else of Debian's newest.

    Raises:
        TaproomError: PostgreSQL is not installed, or not in the version of the cluster.
    """
    on_path = shutil.which("postgres")
    debian = sorted(DEBIAN.glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]), reverse=True)
    installed = [program.resolve() for program in (*([Path(on_path)] if on_path else []), *debian)]
    if not installed:
        raise TaproomError(f"PostgreSQL is neither on the PATH nor in {DEBIAN}. Install it: apt-get install postgresql")
    if not (data / "PG_VERSION").exists():
        return installed[0].parent
    made_by = (data / "PG_VERSION").read_text().strip()
    versions = {_major_version(program): program.parent for program in reversed(installed)}
    if made_by not in versions:
        raise TaproomError(
            f"{data} was made by PostgreSQL {made_by}, which cannot be opened by the installed {', '.join(versions)}. "
            f"Install the other version beside it (apt-get install postgresql-{made_by}), or use pg_upgrade."
        )
    return versions[made_by]


def _major_version(program: Path) -> str:
    """The major version that `postgres --version` prints, as in "postgres (PostgreSQL) 17.5"."""
    printed = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    return printed.split(")")[1].split()[0].partition(".")[0]


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
