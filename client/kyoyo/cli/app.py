"""Puts the commands together, in the reader's language, and turns every error into one sentence and one exit code."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import typer
from rich.text import Text
from typer import rich_utils
from typer.main import get_command

from kyoyo.cli import (
    account,
    data,
    jobs,
    money,
    parsing,
    proposals,
    qpu,
    qpu_result,
    reserve,
    secrets,
    shares,
    shims,
    submit,
    train,
    wallet,
)
from kyoyo.cli.session import Session
from kyoyo.errors import KyoyoError, Problem, UsageError
from kyoyo.remedies import remedy_of
from kyoyo.texts import Texts

USAGE = 2
INTERRUPTED = 130
BROKEN_PIPE = 141
_COMMANDS: Mapping[str, Callable[..., None]] = {
    "login": account.login,
    "logout": account.logout,
    "whoami": account.whoami,
    "offerings": account.offerings,
    "estimate": submit.estimate,
    "submit": submit.submit,
    "run": submit.run,
    "train": train.train,
    "queue": jobs.queue,
    "jobs": jobs.queue,
    "job": jobs.job,
    "logs": jobs.logs,
    "cancel": jobs.cancel,
    "result": jobs.result,
    "balance": money.balance,
    "usage": money.usage,
    "invoice": money.invoice,
    "invoices": money.invoices,
    "statement": money.statement,
    "outlook": wallet.outlook,
    "notices": wallet.notices,
    "kpi": money.kpi,
    "prices": proposals.prices,
    "rates": shares.rates,
    "shares": shares.shares,
}
_GROUPS: Mapping[str, Mapping[str, Callable[..., None]]] = {
    "budgets": {"ls": wallet.budgets_ls, "set": wallet.budgets_set, "lift": wallet.budgets_lift},
    "data": {"put": data.data_put, "get": data.data_get, "ls": data.data_ls, "rm": data.data_rm},
    "proposals": {
        "ls": proposals.proposals_ls,
        "show": proposals.proposals_show,
        "make": proposals.proposals_make,
        "approve": proposals.proposals_approve,
        "reject": proposals.proposals_reject,
    },
    "qpu": {
        "ls": qpu.qpu_ls,
        "show": qpu.qpu_show,
        "estimate": qpu.qpu_estimate,
        "submit": qpu.qpu_submit,
        "result": qpu_result.qpu_result,
    },
    "reserve": {
        "ls": reserve.reserve_ls,
        "calendar": reserve.reserve_calendar,
        "book": reserve.reserve_book,
        "cancel": reserve.reserve_cancel,
        "capacity": reserve.reserve_capacity,
        "quota": reserve.reserve_quota,
        "close": reserve.reserve_close,
        "closures": reserve.reserve_closures,
        "reopen": reserve.reserve_reopen,
    },
    "secrets": {"set": secrets.secrets_set, "list": secrets.secrets_list, "rm": secrets.secrets_rm},
    "shims": {"install": shims.shims_install, "remove": shims.shims_remove},
}


class _Folding(rich_utils.OptionHighlighter):
    """Folds what is too long for its column. Japanese has no spaces to break at, and would end in an ellipsis."""

    def __call__(self, text: str | Text) -> Text:
        told = super().__call__(text)
        told.overflow = "fold"
        return told


def run(arguments: Sequence[str], session: Session) -> int:
    """Carry out one command line; the exit code."""
    try:
        ended = build(session.texts).main(args=list(arguments), prog_name="kyoyo", standalone_mode=False, obj=session)
    except KyoyoError as error:
        _show_error(session, error)
        return error.exit_code
    except TimeoutError as late:
        session.err.print(str(late), markup=False, highlight=False)
        return submit.JOB_FAILED
    except (KeyboardInterrupt, typer.Abort):
        session.tell("say.aborted")
        return INTERRUPTED
    except BrokenPipeError:
        return BROKEN_PIPE
    except typer.TyperException as wrong:
        return _show_usage(session, wrong)
    return ended if isinstance(ended, int) else 0


def build(texts: Texts) -> Any:
    """The command tree; help texts stand in the code as keys and are replaced by sentences here."""
    app = typer.Typer(no_args_is_help=True, add_completion=True, pretty_exceptions_enable=False, help="help.kyoyo")
    app.callback()(lambda: None)
    for name, command in _COMMANDS.items():
        app.command(name, help=f"help.{name}", no_args_is_help=False)(command)
    for group, commands in _GROUPS.items():
        inner = typer.Typer(no_args_is_help=True, help=f"help.{group}")
        for name, command in commands.items():
            inner.command(name, help=f"help.{group}.{name}")(command)
        app.add_typer(inner, name=group)
    rich_utils.COMMANDS_PANEL_TITLE = texts("help.panel.commands")
    rich_utils.OPTIONS_PANEL_TITLE = texts("help.panel.options")
    rich_utils.ARGUMENTS_PANEL_TITLE = texts("help.panel.arguments")
    rich_utils.DEFAULT_STRING = texts("help.default", value="{}")
    rich_utils.REQUIRED_LONG_STRING = texts("help.required")
    rich_utils.highlighter = _Folding()
    tree = get_command(app)
    _translate(tree, texts)
    return tree


def _translate(command: Any, texts: Texts) -> None:
    command.help = texts.get(command.help or "", command.help or "")
    command.short_help = None
    for parameter in command.params:
        if getattr(parameter, "is_flag", False):
            parameter.metavar = ""  # "<bool>" reads as if a value were to follow
        if getattr(parameter, "help", None):
            parameter.help = texts.get(parameter.help, parameter.help)
    for inner in getattr(command, "commands", {}).values():
        _translate(inner, texts)


def _show_error(session: Session, error: KyoyoError) -> None:
    """As JSON on standard output when JSON was asked for, else as sentences on standard error."""
    if session.wants_json:
        session.answer({"error": _as_json(session, error)})
        return
    if error.code == "not-signed-in":
        session.tell("say.not_signed_in")
        return
    session.tell("say.error", code=error.code, detail=_detail(session, error))
    if isinstance(error, Problem) and (remedy := remedy_of(session.texts, error)):
        session.tell("say.remedy", remedy=remedy)


def _detail(session: Session, error: KyoyoError) -> str:
    if not isinstance(error, UsageError) or not error.key:
        return error.detail
    told = session.texts(error.key, **error.facts)
    return session.texts("wrong.line", line=error.line, wrong=told) if error.line else told


def _as_json(session: Session, error: KyoyoError) -> dict[str, object]:
    detail = _detail(session, error)
    told: dict[str, object] = {"code": error.code, "detail": detail, "exit_code": error.exit_code}
    if isinstance(error, Problem):
        remedy = remedy_of(session.texts, error)
        told |= {"status": error.status, "facts": dict(error.facts), "remedy": remedy}
    return told


def _show_usage(session: Session, wrong: typer.TyperException) -> int:
    """What the parser of the command line found; without a message it has shown the help already."""
    detail = parsing.in_language(session.texts, wrong.format_message())
    if session.wants_json:
        session.answer({"error": {"code": "usage", "detail": detail, "exit_code": USAGE}})
    elif detail:
        session.tell("say.error", code="usage", detail=detail)
    return USAGE
