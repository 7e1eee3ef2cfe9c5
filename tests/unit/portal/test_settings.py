"""What an operator sets, and what is refused before anything starts."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from hpc_adapters.slurm.settings import ImageHook, ImageKind
from portal.bootstrap import (
    build_backends,
    load_gateway,
    load_sealer,
    load_webhook_secrets,
    slurm_settings,
)
from portal.settings import (
    AerDevice,
    IbmRuntime,
    LocalMachine,
    OqtopusDevice,
    QrmiResource,
    Settings,
    SettingsWrong,
    SlurmSite,
    as_login,
)

URL = "postgresql://kyoyo_owner:hunter2@db.example:5432/kyoyo?sslmode=require"


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    import os  # noqa: PLC0415  only here

    for name in [name for name in os.environ if name.startswith("KYOYO_")]:
        monkeypatch.delenv(name)


def test_portal_and_worker_log_in_as_themselves_without_the_owners_password() -> None:
    settings = Settings(database_url=URL)
    assert settings.portal_url(URL) == "postgresql://kyoyo_portal@db.example:5432/kyoyo?sslmode=require"
    assert settings.worker_url(URL) == "postgresql://kyoyo_worker@db.example:5432/kyoyo?sslmode=require"


def test_a_password_comes_from_a_file(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("p@ss/word\n")
    assert as_login(URL, "kyoyo_portal", secret).startswith("postgresql://kyoyo_portal:p%40ss%2Fword@db.example")


def test_a_url_comes_from_a_file_or_from_the_environment_but_not_from_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = tmp_path / "url"
    secret.write_text(URL + "\n")
    monkeypatch.setenv("KYOYO_DATABASE_URL_FILE", str(secret))
    assert Settings().owner_url() == URL
    monkeypatch.setenv("KYOYO_DATABASE_URL", URL)
    with pytest.raises(ValidationError, match="keep one"):
        Settings()


def test_secrets_do_not_show() -> None:
    assert "hunter2" not in repr(Settings(database_url=URL))


def test_the_embedded_database_is_for_development() -> None:
    Settings().require_allowed()
    with pytest.raises(SettingsWrong, match="KYOYO_DATABASE_URL"):
        Settings(environment="production").require_allowed()
    Settings(environment="production", allow_embedded=True).require_allowed()
    Settings(environment="production", database_url=URL).require_allowed()


def test_the_portal_listens_on_this_machine_alone_unless_told() -> None:
    assert Settings().host == "127.0.0.1"
    assert Settings().address == "http://127.0.0.1:8000"
    assert Settings(public_url="https://kyoyo.example/").address == "https://kyoyo.example"


def test_machines_come_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "backends.toml"
    path.write_text('[backends.gpu]\nkind = "local"\ngpus = 4\n[backends.qpu]\nkind = "aer"\nqubits = 5\n')
    machines = Settings(backends_file=path).machines()
    assert isinstance(machines["gpu"], LocalMachine)
    assert isinstance(machines["qpu"], AerDevice)
    assert (machines["gpu"].gpus, machines["qpu"].qubits) == (4, 5)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not toml",
        '[backends.x]\nkind = "abacus"\n',
        '[backends.x]\nkind = "local"\ngpu = 4\n',
        '[backends.x]\nkind = "local"\ngpus = -1\n',
        '[backend.x]\nkind = "local"\n',
    ],
)
def test_a_file_that_says_something_else_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "backends.toml"
    path.write_text(text)
    with pytest.raises(SettingsWrong, match=r"backends\.toml"):
        Settings(backends_file=path).machines()


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsWrong, match=r"missing\.toml"):
        Settings(backends_file=tmp_path / "missing.toml").machines()


def test_an_ibm_device_says_all_that_its_adapter_asks(tmp_path: Path) -> None:
    secret = tmp_path / "ibm.json"
    secret.write_text("{}")
    secret.chmod(0o644)
    path = tmp_path / "backends.toml"
    path.write_text(f'[backends.qpu]\nkind = "ibm_runtime"\ndevice = "ibm_torino"\ncredentials_file = "{secret}"\n')
    settings = Settings(backends_file=path, data_dir=tmp_path)
    [(name, backend)] = build_backends(settings).items()
    assert (name, backend.capabilities().name) == ("qpu", "qpu")
    machine = settings.machines()["qpu"]
    assert isinstance(machine, IbmRuntime)
    with pytest.raises(SettingsWrong, match="others may read"):
        machine.require_safe("qpu")
    secret.chmod(0o600)
    machine.require_safe("qpu")
    with pytest.raises(SettingsWrong, match="https"):
        machine.model_copy(update={"api_url": "http://quantum.example"}).require_safe("qpu")


def test_a_slurm_site_says_all_that_its_adapter_asks(tmp_path: Path) -> None:
    key = tmp_path / "jwt.key"
    key.write_bytes(b"k" * 32)
    told = {
        "kind": "slurm",
        "cluster": "c",
        "url": "http://127.0.0.1:6820",
        "jwt_key_file": key,
        "folder": "/srv/kyoyo",
    }
    site = SlurmSite.model_validate(
        {**told, "images": {"torch": "t"}, "image_hook": {"kind": "prefix", "words": ["x"]}}
    )
    settings = slurm_settings("gpu-site", site)
    assert (settings.name, settings.cluster, settings.jwt_key) == ("gpu-site", "c", b"k" * 32)
    assert settings.image_hook == ImageHook(ImageKind.PREFIX, ("x",))
    assert (settings.service_user, settings.look_ahead) == ("kyoyo", 4)


@pytest.mark.parametrize("wrong", [{"jwt_key_file": "/nowhere"}, {"folder": "relative"}, {"images": {"a": "b"}}])
def test_a_slurm_site_that_cannot_be_is_told_by_its_name(tmp_path: Path, wrong: dict[str, object]) -> None:
    (tmp_path / "jwt.key").write_bytes(b"k" * 32)
    told = {"kind": "slurm", "cluster": "c", "url": "http://x", "jwt_key_file": tmp_path / "jwt.key", "folder": "/srv"}
    with pytest.raises(SettingsWrong, match="gpu-site"):
        slurm_settings("gpu-site", SlurmSite.model_validate({**told, **wrong}))


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({}, None),
        ({"url": "unix:/run/restd.sock"}, None),
        ({"url": "http://rest.example:6820"}, "in clear"),
        ({"folder": "/nowhere-at-all"}, "not there"),
        ({"mode": 0o640}, "others may read"),
    ],
)
def test_production_refuses_a_slurm_site_that_gives_its_key_away(
    tmp_path: Path, wrong: dict[str, object], says: str | None
) -> None:
    key = tmp_path / "jwt.key"
    key.write_bytes(b"k" * 32)
    key.chmod(int(str(wrong.pop("mode", 0o600))))
    told = {"kind": "slurm", "cluster": "c", "url": "http://127.0.0.1:1", "jwt_key_file": key, "folder": tmp_path}
    site = SlurmSite.model_validate({**told, **wrong})
    if says is None:
        site.require_safe("gpu-site")
        return
    with pytest.raises(SettingsWrong, match=says):
        site.require_safe("gpu-site")


def test_keys_for_secrets_are_made_in_development_and_must_be_given_in_production(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    first, again = load_sealer(settings), load_sealer(settings)
    assert first is not None
    assert again is not None
    assert first.key_id == again.key_id
    assert (tmp_path / "secrets.key").stat().st_mode & 0o777 == 0o600
    assert load_sealer(Settings(environment="production", data_dir=tmp_path)) is None
    given = Settings(environment="production", secrets_key_file=tmp_path / "secrets.key")
    assert load_sealer(given) is not None


@pytest.mark.parametrize("content", [None, b"", b"hunter2", b"\xff\xfe", b"aHVudGVyMg=="])
def test_a_key_file_that_cannot_be_used_is_told_without_its_content(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "keys"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SettingsWrong, match="KYOYO_SECRETS_KEY_FILE") as wrong:
        load_sealer(Settings(secrets_key_file=path))
    assert "hunter2" not in str(wrong.value)
    assert "aHV" not in str(wrong.value)


@pytest.mark.parametrize(
    "words",
    [
        'kind = "oqtopus"\nurl = "https://api.example.jp"\nqubits = 64\ntoken_file = "{}"\n',
        'kind = "qrmi"\nresource_type = "ibm-quantum-compute-service"\nconfig_file = "{}"\n',
    ],
    ids=["oqtopus", "qrmi"],
)
def test_a_vendors_device_says_all_that_its_adapter_asks(tmp_path: Path, words: str) -> None:
    secret = tmp_path / "secret"
    secret.write_text("{}")
    secret.chmod(0o600)
    path = tmp_path / "backends.toml"
    path.write_text(f'[backends.qpu]\ndevice = "anemone"\n{words.replace("{}", str(secret))}')
    settings = Settings(backends_file=path, data_dir=tmp_path / "data")
    [backend] = build_backends(settings).values()
    assert backend.capabilities().name == "qpu"
    machine = settings.machines()["qpu"]
    assert isinstance(machine, OqtopusDevice | QrmiResource)
    machine.require_safe("qpu")
    secret.chmod(0o644)
    with pytest.raises(SettingsWrong, match="others may read"):
        machine.require_safe("qpu")


def test_a_vendors_token_never_crosses_the_network_in_clear(tmp_path: Path) -> None:
    path = tmp_path / "backends.toml"
    words = 'kind = "oqtopus"\ndevice = "anemone"\nurl = "http://api.example.jp"\nqubits = 5\ntoken_file = "t"\n'
    path.write_text(f"[backends.qpu]\n{words}")
    with pytest.raises(SettingsWrong, match="https"):
        build_backends(Settings(backends_file=path, data_dir=tmp_path / "data"))


def test_without_files_stripe_is_not_used() -> None:
    assert (load_gateway(Settings()), load_webhook_secrets(Settings())) == (None, ())


def test_two_webhook_secrets_are_active_while_one_is_replaced(tmp_path: Path) -> None:
    held = tmp_path / "secrets"
    held.write_text("whsec_new\n\nwhsec_old\n")
    assert load_webhook_secrets(Settings(stripe_webhook_secrets_file=held)) == ("whsec_new", "whsec_old")
    (tmp_path / "key").write_text("rk_test_x\n")
    assert load_gateway(Settings(stripe_key_file=tmp_path / "key")) is not None


@pytest.mark.parametrize("text", ["", "\n", "pk_x", "whsec_a\nwhsec_b\nwhsec_c", "whsec_é"])
def test_files_that_hold_no_secrets_of_stripes_are_refused_without_being_shown(tmp_path: Path, text: str) -> None:
    held = tmp_path / "held"
    held.write_text(text)
    for load, settings in (
        (load_gateway, Settings(stripe_key_file=held)),
        (load_webhook_secrets, Settings(stripe_webhook_secrets_file=held)),
        (load_gateway, Settings(stripe_key_file=tmp_path / "none")),
    ):
        with pytest.raises(SettingsWrong) as refused:
            load(settings)
        assert "KYOYO_STRIPE" in str(refused.value)
        assert "whsec_a" not in str(refused.value)


def test_production_wants_stripes_key_for_itself(tmp_path: Path) -> None:
    held = tmp_path / "key"
    held.write_text("rk_live_x")
    held.chmod(0o644)
    settings = Settings(environment="production", database_url=URL, stripe_key_file=held)
    with pytest.raises(SettingsWrong, match="others may read"):
        load_gateway(settings)
    held.chmod(0o600)
    assert load_gateway(settings) is not None
