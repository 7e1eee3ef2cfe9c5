"""Where the token and the portal's address come from: arguments, then KYOYO_TOKEN / KYOYO_URL, then the login file."""

from __future__ import annotations

import ipaddress
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import platformdirs

from kyoyo.errors import Unauthorised, UsageError

LOGIN_FILE = "login.json"
LOGIN_MODE = 0o600


@dataclass(frozen=True, slots=True)
class Login:
    """Where to and as whom. The token never appears in a repr."""

    url: str
    token: str

    def __repr__(self) -> str:
        return f"Login(url={self.url!r}, token=…)"


def login_path(environment: Mapping[str, str] = os.environ) -> Path:
    """The login file; KYOYO_CONFIG_DIR moves its folder."""
    folder = environment.get("KYOYO_CONFIG_DIR")
    return (Path(folder) if folder else platformdirs.user_config_path("kyoyo")) / LOGIN_FILE


def resolve(*, url: str | None = None, token: str | None = None, environment: Mapping[str, str] = os.environ) -> Login:
    """The login to use. Unauthorised when there is none; UsageError for an address that would leak the token."""
    stored = _read(login_path(environment))
    found_url = url or environment.get("KYOYO_URL") or stored.get("url")
    found_token = token or environment.get("KYOYO_TOKEN") or stored.get("token")
    if not found_url or not found_token:
        raise Unauthorised("not-signed-in", remedy="kyoyo login")
    return Login(checked_url(found_url, environment=environment), found_token.strip())


def checked_url(url: str, *, environment: Mapping[str, str] = os.environ) -> str:
    """An http(s) address without a trailing slash. Plain http only to this machine, unless KYOYO_INSECURE=1."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise UsageError(key="wrong.url", url=url)
    if parts.scheme == "http" and not _is_loopback(parts.hostname) and environment.get("KYOYO_INSECURE") != "1":
        raise UsageError(key="wrong.clear_text", url=url)
    return url.rstrip("/")


def store(login: Login, path: Path) -> None:
    """Write the login file whole, readable by its owner only from its first byte."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_suffix(".new")
    draft.unlink(missing_ok=True)
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, LOGIN_MODE)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump({"url": login.url, "token": login.token}, file)
    draft.replace(path)


def forget(path: Path) -> None:
    """Remove the login file."""
    path.unlink(missing_ok=True)


def _read(path: Path) -> Mapping[str, str]:
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as broken:
        raise UsageError(f"{path}: {broken}") from broken
    return {name: value for name, value in told.items() if isinstance(value, str)} if isinstance(told, dict) else {}


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
