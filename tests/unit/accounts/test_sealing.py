"""What is sealed for one row opens for that row alone, with a key of the ring."""

from __future__ import annotations

from base64 import b64encode, urlsafe_b64encode
from dataclasses import replace
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.errors import BadSecretName, BadSecretValue, SecretTooLarge
from accounts.names import checked_secret_value, clean_secret_name
from accounts.sealing import BadKeyRing, CannotUnseal, Sealed, Sealer, keys_of

OLD, NEW = b"o" * 32, b"n" * 32
ORG, PERSON = UUID(int=1), UUID(int=2)
CANARY = "canary-秘密-7f3a"


def seal(sealer: Sealer, value: str = CANARY, nonce: bytes = b"0" * 32) -> Sealed:
    return sealer.seal(value, organisation_id=ORG, person_id=PERSON, name="HF_TOKEN", nonce=nonce)


@given(st.text().filter(lambda text: text.isprintable()), st.binary(min_size=12, max_size=32))
def test_it_opens_again(value: str, nonce: bytes) -> None:
    sealer = Sealer([NEW])
    assert sealer.unseal(seal(sealer, value, nonce)) == value


@pytest.mark.parametrize(
    "moved",
    [{"organisation_id": UUID(int=9)}, {"person_id": UUID(int=9)}, {"name": "OTHER"}, {"ciphertext": b"0" * 40}],
)
def test_it_opens_nowhere_else(moved: dict[str, object]) -> None:
    sealer = Sealer([NEW])
    with pytest.raises(CannotUnseal):
        sealer.unseal(replace(seal(sealer), **moved))  # type: ignore[arg-type]


@given(st.integers(0, 200), st.integers(1, 255))
def test_a_changed_byte_is_noticed(place: int, change: int) -> None:
    sealer = Sealer([NEW])
    sealed = seal(sealer)
    torn = bytearray(sealed.ciphertext)
    torn[place % len(torn)] ^= change
    with pytest.raises(CannotUnseal):
        sealer.unseal(replace(sealed, ciphertext=bytes(torn)))


def test_the_newest_key_seals_and_an_older_one_still_opens() -> None:
    old = seal(Sealer([OLD]))
    ring = Sealer([NEW, OLD])
    assert ring.unseal(old) == CANARY
    assert seal(ring).key_id == Sealer([NEW]).key_id != old.key_id
    with pytest.raises(CannotUnseal):
        Sealer([NEW]).unseal(old)


def test_neither_a_value_nor_a_key_shows_itself() -> None:
    sealer = Sealer([NEW])
    sealed = seal(sealer)
    assert CANARY.encode() not in sealed.ciphertext
    assert repr(sealed.ciphertext) not in repr(sealed)
    assert "nnnn" not in repr(sealer) + sealer.key_id
    with pytest.raises(BadKeyRing) as wrong:
        keys_of("hunter2!")
    assert "hunter2" not in str(wrong.value)


@pytest.mark.parametrize("keys", [[], [b"short"], [NEW, b"x" * 33]])
def test_a_ring_that_cannot_be_used(keys: list[bytes]) -> None:
    with pytest.raises(BadKeyRing):
        Sealer(keys)


def test_a_key_file() -> None:
    lines = f"# newest first\n{b64encode(NEW).decode()}\n\n{urlsafe_b64encode(OLD).rstrip(b'=').decode()}  # of 2025\n"
    assert keys_of(lines) == [NEW, OLD]


@pytest.mark.parametrize("name", ["HF_TOKEN", "A", "_X9", "A" * 64])
def test_names(name: str) -> None:
    assert clean_secret_name(name) == name


@pytest.mark.parametrize(
    "name",
    ["", "a", "1A", "A-B", "Ａ", "A" * 65, "A\n", "PATH", "LD_PRELOAD", "SLURM_JOB_ID", "KYOYO_TOKEN", "BASH_ENV"],
)
def test_names_that_are_refused(name: str) -> None:
    with pytest.raises(BadSecretName):
        clean_secret_name(name)


def test_values() -> None:
    assert checked_secret_value("あ" * 10_922) == "あ" * 10_922
    assert checked_secret_value("-----BEGIN\nKEY-----\n") == "-----BEGIN\nKEY-----\n"
    for value in ("", "a\0b", "\ud800"):
        with pytest.raises(BadSecretValue):
            checked_secret_value(value)
    with pytest.raises(SecretTooLarge):
        checked_secret_value("a" * 32_769)
