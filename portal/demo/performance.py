"""The demo itself: sets the stage, plays, shows, checks itself, and leaves nothing behind."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from time import monotonic
from types import FrameType
from typing import NoReturn

from infra.slurm.namespace import ClusterFailed
from kyoyo import KyoyoError
from portal.demo import finale, ground, slurm, world
from portal.demo.ground import InUse, NotOurs
from portal.demo.house import CommandFailed, House
from portal.demo.promises import broken, to_json
from portal.demo.screen import Screen
from portal.demo.script import play
from portal.demo.stage import OutOfTime, ProcessDied
from portal.demo.summary import summarise
from portal.language import Catalogue

LIMIT_S = 480
"""The whole run: far more than it needs, far less than anybody waits."""
NOT_AS_PROMISED = 1
USAGE = 2
STOPPED = 143


def perform(
    *, once: bool, port: int, folder: Path, gpu_backend: str, screen: Screen, texts: Catalogue, is_terminal: bool
) -> int:
    """The exit code."""
    signal.signal(signal.SIGTERM, _stop)
    try:
        with ground.cleared(folder):
            house = House(folder, port or ground.free_port(), gpu_backend=gpu_backend)
            complaints = _run(house, screen, texts, stay=is_terminal and not once)
    except (NotOurs, InUse) as wrong:
        screen.say("not_ours" if isinstance(wrong, NotOurs) else "in_use", path=str(wrong), style="red")
        return USAGE
    except (ProcessDied, OutOfTime, TimeoutError, KyoyoError, CommandFailed, ClusterFailed) as wrong:
        _tell(screen, wrong)
        return NOT_AS_PROMISED
    return NOT_AS_PROMISED if complaints else 0


def _run(house: House, screen: Screen, texts: Catalogue, *, stay: bool) -> list[str]:
    """The complaints; the house is gone when it returns."""
    began_s = monotonic()
    screen.act("title")
    screen.say("notice", style="dim")
    try:
        with screen.busy("start"):
            house.open()
        if house.cluster is not None:
            screen.say("slurm_started", version=house.cluster.version, nodes=slurm.NODES, gpus=slurm.GPUS)
        with house.children.watched(limit_s=LIMIT_S):
            house.wait_until_ready()
            screen.say("started", address=house.address)
            complaints = _perform(house, screen, texts)
        screen.say("took", seconds=round(monotonic() - began_s))
        if stay:
            _stay(house, screen, texts)
    finally:
        with screen.busy("stopping"):
            house.close()
    return complaints


def _perform(house: House, screen: Screen, texts: Catalogue) -> list[str]:
    language = texts.language.value
    with house.client(house.keys.startup, language) as startup:
        played = play(startup, screen)
        statement = startup.statement(house.month)
    with house.client(house.keys.officer, language) as officer:
        kpi = officer.kpi(house.month)
    with screen.busy("audits"):
        unexplained = house.audit()
    summary = summarise(played, books=house.books(), unexplained=unexplained, kpi=kpi)
    path = house.folder / "summary.json"
    path.write_text(to_json(summary) + "\n", encoding="utf-8")
    finale.show(screen, texts, jobs=played.jobs, summary=summary, statement=statement, kpi=kpi)
    screen.say("summary_at", path=path)
    complaints = broken(summary)
    screen.say("broken" if complaints else "kept", style="bold red" if complaints else "bold green")
    for complaint in complaints:
        screen.line(f"  - {complaint}", style="red")
    return complaints


def _stay(house: House, screen: Screen, texts: Catalogue) -> None:
    """Until Ctrl-C, or until a process dies."""
    startup = world.STARTUP.people[0]
    screen.say("looks", style="bold")
    for key, person, token in (
        ("link_startup", startup, house.keys.startup),
        ("link_operator", world.OPERATOR, house.keys.operator),
        ("link_officer", world.OFFICER, house.keys.officer),
    ):
        screen.line(f"  {screen.text(key, name=person.name)}")
        screen.line(f"    {house.address}/{texts.language.value}/sign-in#{token}")
    screen.say("by_hand")
    command = Path(sys.executable).with_name("kyoyo")
    screen.line(f"    export KYOYO_URL={house.address} KYOYO_TOKEN={house.keys.startup}")
    screen.line(f"    {command} offerings")
    try:
        with house.children.watched(limit_s=0):
            while True:
                signal.pause()
    except KeyboardInterrupt:
        return


def _tell(screen: Screen, wrong: Exception) -> None:
    match wrong:
        case ProcessDied():
            screen.say("died", name=wrong.name, code=wrong.code, style="bold red")
            screen.line(wrong.tail)
        case OutOfTime():
            screen.say("too_slow", seconds=wrong.limit_s, what="kyoyod demo", style="bold red")
        case KyoyoError():
            screen.say("refused", code=wrong.code, detail=wrong.detail, style="bold red")
        case _:
            screen.line(str(wrong), style="bold red")


def _stop(_number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(STOPPED)  # so that everything that was started is ended
