from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from kyoyo.errors import Unauthorised, UsageError
from kyoyo.settings import Login, checked_url, forget, login_path, resolve, store


def test_arguments_go_before_the_environment_and_that_before_the_login_file(tmp_path: Path) -> None:
    environment = {"KYOYO_CONFIG_DIR": str(tmp_path)}
    store(Login("https://file.example", "kyo_file"), login_path(environment))
    assert resolve(environment=environment) == Login("https://file.example", "kyo_file")
    environment |= {"KYOYO_URL": "https://env.example/", "KYOYO_TOKEN": "kyo_env\n"}
    assert resolve(environment=environment) == Login("https://env.example", "kyo_env")
    assert resolve(token="kyo_arg", environment=environment) == Login("https://env.example", "kyo_arg")


def test_the_login_file_is_its_owners_alone_also_when_it_was_not_before(tmp_path: Path) -> None:
    path = tmp_path / "config" / "login.json"
    path.parent.mkdir()
    path.write_text("{}")
    path.chmod(0o644)
    store(Login("https://a.example", "kyo_secret"), path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert json.loads(path.read_text())["token"] == "kyo_secret"
    forget(path)
    forget(path)
    assert not path.exists()


def test_without_a_login_there_is_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(Unauthorised) as missing:
        resolve(environment={"KYOYO_CONFIG_DIR": str(tmp_path)})
    assert missing.value.remedy == "kyoyo login"


def test_a_broken_login_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "login.json").write_text("{")
    with pytest.raises(UsageError, match=r"login\.json"):
        resolve(environment={"KYOYO_CONFIG_DIR": str(tmp_path)})


@pytest.mark.parametrize("url", ["http://portal.example", "ftp://portal.example", "portal.example", "http://10.0.0.1"])
def test_a_token_is_never_sent_in_the_clear_over_a_network(url: str) -> None:
    with pytest.raises(UsageError):
        checked_url(url, environment={})


@pytest.mark.parametrize("url", ["http://127.0.0.1:8000/", "http://localhost:1", "http://[::1]:1", "https://a.example"])
def test_https_and_this_machine_are_fine(url: str) -> None:
    assert checked_url(url, environment={}) == url.rstrip("/")


def test_a_login_does_not_show_its_token() -> None:
    assert "kyo_secret" not in repr(Login("https://a.example", "kyo_secret"))
