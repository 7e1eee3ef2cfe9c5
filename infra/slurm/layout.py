"""A cluster's folder: what lies where, and who owns it."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from infra.slurm.site import REST_USER, Site, configuration, people

RUN, STATE, LOG = "/run/kyoyo", "/var/lib/kyoyo", "/var/log/kyoyo"
"""Where the folder's parts are seen inside."""
_KEY_BYTES = 32
_MUNGE_KEY_BYTES = 128


FOLDERS = (
    ("aside", "root"),
    ("etc", "root"),
    ("home", "root"),
    ("log", "slurm"),
    ("run", "slurm"),
    ("run/restd", REST_USER),
    ("run/munge", "munge"),
    ("run/mysqld", "mysql"),
    ("shared", "root"),
    ("state", "root"),
    ("state/ctld", "slurm"),
    ("state/spool", "slurm"),
    ("state/mysql", "mysql"),
)
"""With their owners."""


def write_files(folder: Path, debian: Path, site: Site) -> Mapping[str, str]:
    """Configuration, keys and folders, each with its owner. Returns what is seen where inside."""
    ids = _ids(debian)
    folder.chmod(0o755)
    for name, owner in FOLDERS:
        _folder(folder / name, {**ids, **site.uids}[owner])
    (folder / "log").chmod(0o777)  # of daemons under four users
    for user, uid in site.uids.items():
        _folder(folder / "home" / user, uid, mode=0o700)
    for name, text in configuration(site).items():
        _file(folder / "etc" / name, text.encode())
    _file(folder / "etc" / "slurmdbd.conf", None, owner=ids["slurm"], mode=0o600)
    _file(folder / "etc" / "jwt.key", secrets.token_bytes(_KEY_BYTES), owner=ids["slurm"], mode=0o600)
    _file(folder / "etc" / "munge.key", secrets.token_bytes(_MUNGE_KEY_BYTES), owner=ids["munge"], mode=0o400)
    etc = debian / "etc"
    known = people(site, (etc / "passwd").read_text(encoding="utf-8"), (etc / "group").read_text(encoding="utf-8"))
    for name, text in known.items():
        _file(folder / "etc" / name, text.encode())
    return {**{f"/etc/{name}": str(folder / "etc" / name) for name in known}, **_seen(folder)}


def _seen(folder: Path) -> Mapping[str, str]:
    """Our folders, by the place where they are seen inside."""
    return {
        "/etc/slurm": str(folder / "etc"),
        "/home": str(folder / "home"),
        LOG: str(folder / "log"),
        RUN: str(folder / "run"),
        STATE: str(folder / "state"),
        "/run/munge": str(folder / "run" / "munge"),
        "/run/mysqld": str(folder / "run" / "mysqld"),
        str(folder / "shared"): str(folder / "shared"),
    }


def _ids(debian: Path) -> Mapping[str, int]:
    lines = (debian / "etc" / "passwd").read_text(encoding="utf-8").splitlines()
    return {words[0]: int(words[2]) for words in (line.split(":") for line in lines)}


def _folder(path: Path, owner: int, *, mode: int = 0o755) -> None:
    path.mkdir()
    path.chmod(mode)
    os.chown(path, owner, owner)


def _file(path: Path, content: bytes | None, *, owner: int = 0, mode: int = 0o644) -> None:
    if content is not None:
        path.write_bytes(content)
    os.chown(path, owner, -1)
    path.chmod(mode)
