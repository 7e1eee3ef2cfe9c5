"""On a terminal the demo leaves the portal running, with its address and a sign-in link for each of the three roles."""

from __future__ import annotations

import io
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import cast

import pytest
from rich.console import Console

from portal.demo import performance
from portal.demo.house import House
from portal.demo.screen import Screen
from portal.demo.seed import Keys
from portal.demo.stage import ProcessDied
from portal.language import Language, catalogue

ADDRESS = "http://127.0.0.1:8123"


@dataclass
class Children:
    """Somebody presses Ctrl-C as soon as the demo waits, or a process dies."""

    died: bool = False

    @contextmanager
    def watched(self, *, limit_s: int) -> Iterator[None]:
        assert limit_s == 0, "it stays as long as its reader likes"
        if self.died:
            raise ProcessDied(name="worker", code=1, tail="")
        pressed = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT))
        pressed.start()
        yield
        pressed.join()


@dataclass
class OpenHouse:
    address: str = ADDRESS
    keys: Keys = field(default_factory=lambda: Keys(startup="kyo_s", operator="kyo_o", officer="kyo_p"))
    children: Children = field(default_factory=Children)


def stayed(house: OpenHouse, language: Language) -> str:
    told, texts = io.StringIO(), catalogue(language)
    screen = Screen(Console(file=told, width=160), texts)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs begin with it ignored
    try:
        performance._stay(cast("House", house), screen, texts)
    finally:
        signal.signal(signal.SIGINT, before)
    return told.getvalue()


@pytest.mark.parametrize("language", Language)
def test_it_prints_a_link_for_each_role_and_ends_with_ctrl_c(language: Language) -> None:
    told = stayed(OpenHouse(), language)
    links = [line.strip() for line in told.splitlines() if ADDRESS in line and "KYOYO_URL" not in line]
    assert links == [f"{ADDRESS}/{language.value}/sign-in#{token}" for token in ("kyo_s", "kyo_o", "kyo_p")]
    assert f"    export KYOYO_URL={ADDRESS} KYOYO_TOKEN=kyo_s\n" in told


def test_it_does_not_stay_with_a_process_that_has_died() -> None:
    with pytest.raises(ProcessDied):
        stayed(OpenHouse(children=Children(died=True)), Language.EN)
