from __future__ import annotations

import json
import stat
from pathlib import Path

import httpx2
import pytest

from tests.support.fake_portal import URL, FakePortal, a_job, an_estimate, an_offering, kyoyo, problem

SCRIPT = "#!/bin/sh\n#SBATCH --time=10:00 --job-name=train -o out-%x.txt\necho hello\n"


@pytest.fixture
def script(tmp_path: Path) -> str:
    path = tmp_path / "train.sh"
    path.write_text(SCRIPT)
    return str(path)


@pytest.fixture
def portal() -> FakePortal:
    return (
        FakePortal()
        .on("GET /offerings", {"items": [an_offering(), an_offering("aer", "quantum")]})
        .on("POST /estimates", an_estimate())
        .on("POST /jobs", httpx2.Response(201, json=a_job()))
        .on("GET /jobs/j-1", a_job())
    )


def test_submit_reads_the_directives_and_answers_like_sbatch(portal: FakePortal, script: str) -> None:
    ran = kyoyo(portal, "submit", script, "--gpus", "4")
    assert (ran.code, ran.out) == (0, "Submitted batch job j-1\n")
    [body] = portal.bodies("POST /jobs")
    assert {name: body[name] for name in ("name", "walltime_s", "gpus", "script", "offering", "project")} == {
        "name": "train",
        "walltime_s": 600,
        "gpus": 4,
        "script": SCRIPT,
        "offering": "gpu",
        "project": "default",
    }


def test_the_command_line_overrides_the_script(portal: FakePortal, script: str) -> None:
    kyoyo(portal, "submit", "-J", "mine", "-t", "1h", script, "--env", "A=b=c", "--", "--lr", "0.1")
    [body] = portal.bodies("POST /jobs")
    assert (body["name"], body["walltime_s"], body["environment"], body["arguments"]) == (
        "mine",
        3600,
        {"A": "b=c"},
        ["--lr", "0.1"],
    )


def test_parsable_prints_the_id_alone(portal: FakePortal, script: str) -> None:
    assert kyoyo(portal, "submit", script, "--parsable").out == "j-1\n"


def test_a_number_is_what_a_job_is_called_by(portal: FakePortal, script: str) -> None:
    task = a_job(number=7, array={"number": 7, "index": 1, "tasks": 2})
    portal.on("POST /jobs", httpx2.Response(201, json=task))
    ran = kyoyo(portal, "submit", script, "--array", "1-2%1", "-d", "afterok:5:6_1", "--mem=8G", "-N2", "--gres=gpu:2")
    assert ran.out == "Submitted batch job 7\n"
    [body] = portal.bodies("POST /jobs")
    assert {name: body[name] for name in ("array", "dependencies", "memory_mb", "nodes", "gpus")} == {
        "array": {"indices": [1, 2], "max_running": 1},
        "dependencies": [{"kind": "afterok", "job": 5}, {"kind": "afterok", "job": "6_1"}],
        "memory_mb": 16_384,
        "nodes": 2,
        "gpus": 4,
    }


def test_files_of_the_store_are_named_for_the_job(portal: FakePortal, script: str) -> None:
    arguments = ("--input", "data/a.csv", "--input", "b.csv:train.csv", "--output-file", "*.pt", "--secret", "HF_TOKEN")
    kyoyo(portal, "submit", script, *arguments)
    [body] = portal.bodies("POST /jobs")
    assert body["inputs"] == [{"key": "data/a.csv"}, {"key": "b.csv", "name": "train.csv"}]
    assert (body["outputs"], body["secrets"]) == (["*.pt"], ["HF_TOKEN"])


def test_cancelling_an_arrays_number_cancels_all_of_it_and_a_tasks_only_that(portal: FakePortal) -> None:
    task = a_job(number=7, array={"number": 7, "index": 1, "tasks": 2})
    portal.on("GET /jobs/7", task).on("GET /jobs/7_1", task)
    portal.on("POST /arrays/7/cancel", task).on("POST /jobs/j-1/cancel", {**task, "state": "CANCELLING"})
    assert kyoyo(portal, "cancel", "7").out == "Cancelling all tasks of array 7.\n"
    assert kyoyo(portal, "cancel", "7_1").out == "Cancelling j-1; it is cancelling.\n"


def test_what_a_script_says_in_vain_is_told(portal: FakePortal, tmp_path: Path) -> None:
    path = tmp_path / "job.sh"
    path.write_text("#!/bin/sh\n#SBATCH -t 5 --export=ALL,A=1,HERE --begin=now+1hour\n")
    ran = kyoyo(portal, "submit", str(path), HERE="there", SECRET="s")
    assert "--export=ALL sends nothing" in ran.err
    [body] = portal.bodies("POST /jobs")
    assert body["environment"] == {"A": "1", "HERE": "there"}
    assert body["begin_at"] == "2026-11-30T17:00:00+00:00"


def test_an_array_is_waited_for_task_by_task_and_each_keeps_its_own_file(
    portal: FakePortal, script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    tasks = [
        a_job(
            f"j-{index}", "SUCCEEDED", number=6 + index, array={"number": 7, "index": index, "tasks": 2}, charge_yen="1"
        )
        for index in (1, 2)
    ]
    portal.on("POST /jobs", httpx2.Response(201, json=tasks[0])).on("GET /jobs", {"items": tasks[::-1]})
    for task in tasks:
        told = {"text": f"{task['id']}\n", "next_offset": 4, "ended": True}
        portal.on(f"GET /jobs/{task['id']}", task).on(f"GET /jobs/{task['id']}/logs", told)
        portal.on(f"GET /jobs/{task['id']}/logs/live", problem(501, "none"))
    ran = kyoyo(portal, "submit", script, "--array=1-2", "--wait", "-o", "%A_%a.out", "-e", "%A_%a.err")
    assert ran.code == 0, ran.err
    assert {path.name: path.read_text() for path in tmp_path.glob("7_*")} == {
        "7_1.out": "j-1\n",
        "7_2.out": "j-2\n",
        "7_1.err": "j-1\n",
        "7_2.err": "j-2\n",
    }


def test_test_only_estimates_and_submits_nothing(portal: FakePortal, script: str) -> None:
    assert "at most ¥100" in kyoyo(portal, "submit", script, "--test-only").out
    assert portal.bodies("POST /jobs") == []


def test_json_prints_the_portals_answer_and_nothing_else(portal: FakePortal, script: str) -> None:
    ran = kyoyo(portal, "submit", script, "--json")
    assert ran.told == a_job()
    assert ran.err == ""


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (problem(401, "invalid-token"), 3),
        (problem(402, "insufficient-funds"), 4),
        (problem(404, "unknown-offering"), 5),
        (problem(409, "idempotency-key-reused"), 6),
        (problem(503, "starting"), 7),
        (httpx2.ConnectError("refused"), 7),
    ],
)
def test_exit_codes_are_stable(portal: FakePortal, script: str, answer: httpx2.Response | Exception, code: int) -> None:
    portal.on("POST /jobs", answer)
    ran = kyoyo(portal, "submit", script)
    assert ran.code == code
    assert ran.out == ""
    assert kyoyo(portal, "submit", script, "--json").told["error"]["exit_code"] == code  # type: ignore[index]  # JSON


@pytest.mark.parametrize(
    "arguments", [("submit", "nowhere.sh"), ("queue", "--limit", "x"), ("fly",), ("run", "--gpus", "1"), ()]
)
def test_a_wrong_call_is_2_and_reaches_nobody(portal: FakePortal, arguments: tuple[str, ...]) -> None:
    assert kyoyo(portal, *arguments).code == 2
    assert portal.asked == []


@pytest.mark.parametrize(
    ("directive", "told"),
    [
        ("--mail-user=a@b.example", "3 行目: --mail-user には対応していません。"),
        ("--time=-5", "3 行目: 制限時間として読み取れません: '-5'"),
        ("--job-name='open", "3 行目: 引用符が閉じられていません"),
    ],
)
def test_a_wrong_script_is_explained_in_the_readers_language(
    portal: FakePortal, tmp_path: Path, directive: str, told: str
) -> None:
    path = tmp_path / "wrong.sh"
    path.write_text(f"#!/bin/sh\n\n#SBATCH {directive}\n")
    assert told in kyoyo(portal, "submit", str(path), KYOYO_LANG="ja").err
    error = kyoyo(portal, "submit", str(path), "--json", KYOYO_LANG="ja").told["error"]
    assert told in str(error)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("fly",), "fly というコマンドはありません"),
        (("queue", "--foo"), "--foo というオプションはありません"),
        (("job",), "JOB がありません"),
        (("queue", "--limit"), "--limit には値が必要です"),
        (("queue", "--limit", "x"), "--limit の値が正しくありません"),
        (("job", "1", "2"), "余分な引数があります: 2"),
    ],
)
def test_a_wrong_call_is_explained_in_the_readers_language(
    portal: FakePortal, arguments: tuple[str, ...], told: str
) -> None:
    assert told in kyoyo(portal, *arguments, KYOYO_LANG="ja").err


def test_a_refusal_says_what_and_what_helps(portal: FakePortal, script: str) -> None:
    portal.on("POST /jobs", problem(402, "insufficient-funds", remedy="pay in"))
    ran = kyoyo(portal, "submit", script)
    assert ran.err == "Error (insufficient-funds): insufficient-funds!\nWhat helps: pay in\n"


def test_waiting_ends_with_the_jobs_failure_and_keeps_its_output(
    portal: FakePortal, script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = {"text": "hello\n", "offset": 0, "next_offset": 6, "ended": True, "truncated": False}
    portal.on("GET /jobs/j-1/logs", ended).on("GET /jobs/j-1/logs/live", problem(501, "none"))
    portal.on("GET /jobs/j-1", a_job(state="RUNNING"), a_job(state="FAILED", exit_code=3, charge_yen="1.5"))
    ran = kyoyo(portal, "submit", script, "--wait")
    assert ran.code == 1
    assert "train: failed, charged ¥1.5" in ran.err
    assert (tmp_path / "out-train.txt").read_text() == "hello\nhello\n"  # both streams, as sbatch does


def test_a_failed_run_says_why_and_shows_the_end_of_its_errors(portal: FakePortal) -> None:
    story = [{"at": "2026-11-21T00:00:02Z", "kind": "ended", "state": "FAILED", "sentence": "It ended with code 3."}]
    errors = "".join(f"{number}\n" for number in range(30)) + "No module named \x1b[31mtorch\n"
    portal.on("GET /jobs/j-1", a_job(), a_job(state="FAILED", exit_code=3, charge_yen="1.5", story=story))
    told = {"text": errors, "offset": 0, "next_offset": len(errors), "ended": True, "truncated": False}
    rest = {**told, "text": "", "offset": len(errors)}
    portal.on("GET /jobs/j-1/logs/live", problem(501, "none")).on("GET /jobs/j-1/logs", rest, told, rest)
    ran = kyoyo(portal, "run", "--time", "5", "--", "false")
    assert ran.code == 1
    assert "It ended with code 3. See: kyoyo logs --stderr j-1\n  │ 11\n" in ran.err
    assert ran.err.endswith("  │ No module named �[31mtorch\n")


def test_an_end_whose_charge_is_not_final_says_so(portal: FakePortal, script: str) -> None:
    nothing = {"text": "", "offset": 0, "next_offset": 0, "ended": True, "truncated": False}
    portal.on("GET /jobs/j-1/logs", nothing).on("GET /jobs/j-1/logs/live", problem(501, "none"))
    portal.on("GET /jobs/j-1", a_job(state="FAILED", held_yen="12.5"))
    ran = kyoyo(portal, "submit", script, "--wait", "--output", "/dev/null", KYOYO_LANG="ja")
    assert (ran.code, "train: 失敗（課金額はまだ確定していません）" in ran.err) == (1, True)


def test_run_follows_the_output_and_ends_with_success(portal: FakePortal) -> None:
    live = 'event: log\ndata: {"text": "hi\\n", "next_offset": 3}\n\nevent: end\ndata: {}\n\n'
    stream = httpx2.Response(200, text=live, headers={"Content-Type": "text/event-stream"})
    portal.on("GET /jobs/j-1", a_job(), a_job(state="RUNNING"), a_job(state="SUCCEEDED", charge_yen="0.2"))
    portal.on("GET /jobs/j-1/logs/live", stream)
    ran = kyoyo(portal, "run", "--gpus", "1", "--time", "5", "--", "python", "train.py", "--json")
    assert (ran.code, ran.out) == (0, "hi\n")
    assert portal.bodies("POST /jobs")[0]["arguments"] == ["python", "train.py", "--json"]


def test_a_names_escape_codes_and_markup_are_shown_not_obeyed(portal: FakePortal) -> None:
    portal.on("GET /jobs", {"items": [a_job(name="\x1b[31m[red]evil\u202e")], "next_cursor": None})
    ran = kyoyo(portal, "queue", "--all", terminal=True)
    assert "�[31m[red]evil�" in ran.out
    assert "\u202e" not in ran.out


def test_a_log_on_a_terminal_loses_its_control_characters_and_a_pipe_keeps_its_bytes(portal: FakePortal) -> None:
    piece = {"text": "\x1b]0;title\x07ok", "offset": 0, "next_offset": 9, "ended": True, "truncated": False}
    rest = {"text": "", "offset": 9, "next_offset": 9, "ended": True, "truncated": False}
    assert kyoyo(portal.on("GET /jobs/j-1/logs", piece, rest), "logs", "j-1", terminal=True).out == "�]0;title�ok"
    assert kyoyo(portal.on("GET /jobs/j-1/logs", piece, rest), "logs", "j-1").out == "\x1b]0;title\x07ok"


def test_colour_is_for_terminals_only(portal: FakePortal) -> None:
    portal.on("GET /jobs", {"items": [a_job(state="RUNNING")], "next_cursor": None})
    assert "\x1b[" in kyoyo(portal, "queue", "--all", terminal=True).out
    assert "\x1b[" not in kyoyo(portal, "queue", "--all", FORCE_COLOR="1").out


def test_the_language_of_the_answer_and_of_the_request_follow_the_locale(portal: FakePortal, script: str) -> None:
    ran = kyoyo(portal, "submit", script, LANG="ja_JP.UTF-8")
    assert ran.out == "ジョブを受け付けました: j-1\n"
    assert {asked.headers["Accept-Language"] for asked in portal.asked} == {"ja"}


def test_help_is_in_the_readers_language(capsys: pytest.CaptureFixture[str]) -> None:
    assert kyoyo(FakePortal(), "--help", KYOYO_LANG="ja").code == 0
    assert "残高" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["", "submit", "run", "queue", "logs", "offerings", "kpi", "qpu"])
def test_help_is_not_cut_where_words_have_no_spaces(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    kyoyo(FakePortal(), *command.split(), "--help", KYOYO_LANG="ja")
    told = capsys.readouterr().out
    assert "オプション" in told
    assert "…" not in told


def test_login_checks_the_token_and_keeps_it_for_its_owner(tmp_path: Path) -> None:
    portal = FakePortal().on("GET /me", {"display_name": "佐藤 花子"})
    ran = kyoyo(portal, "login", "--url", URL, "--token-stdin", home=tmp_path, stdin="kyo_abc\n")
    assert "佐藤 花子" in ran.out
    path = tmp_path / "login.json"
    assert json.loads(path.read_text()) == {"url": URL, "token": "kyo_abc"}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert kyoyo(portal, "whoami", "--json", home=tmp_path).told == {"display_name": "佐藤 花子"}
    assert kyoyo(portal, "logout", home=tmp_path).code == 0
    assert kyoyo(portal, "whoami", home=tmp_path).code == 3


def test_a_token_that_the_portal_does_not_know_is_not_kept(tmp_path: Path) -> None:
    portal = FakePortal().on("GET /me", problem(401, "invalid-token"))
    assert kyoyo(portal, "login", "--url", URL, "--token-stdin", home=tmp_path, stdin="kyo_x\n").code == 3
    assert not (tmp_path / "login.json").exists()


def test_the_queue_asks_for_what_lives_and_counts_it_once(portal: FakePortal) -> None:
    portal.on("GET /jobs", {"items": [], "next_cursor": None})
    assert kyoyo(portal, "queue", "--json").told == {"items": []}
    assert [asked.url.params["state"] for asked in portal.asked] == ["RUNNING", "CANCELLING", "DISPATCHING", "QUEUED"]


@pytest.mark.parametrize("language", ["en", "ja"])
@pytest.mark.parametrize("columns", ["80", "100"])
def test_a_list_of_jobs_never_cuts_an_id_or_an_amount(portal: FakePortal, columns: str, language: str) -> None:
    job_id = "e8ed85da-0e7e-4591-98a7-2c139b05cf0d"
    ended = {"started_at": "2026-11-21T00:00:01Z", "ended_at": "2026-11-21T00:00:09Z", "charge_yen": "12345.123456"}
    portal.on("GET /jobs", {"items": [a_job(job_id, "SUCCEEDED", **ended)], "next_cursor": None})
    ran = kyoyo(portal, "queue", "--all", terminal=True, NO_COLOR="1", COLUMNS=columns, KYOYO_LANG=language)
    assert job_id in ran.out
    assert "¥12,345.123456" in ran.out
    assert "--json" in ran.err


def test_counts_are_drawn(portal: FakePortal) -> None:
    portal.on("GET /jobs/j-1/result", {"counts": {"000": 2010, "111": 1990}})
    ran = kyoyo(portal, "qpu", "result", "j-1")
    assert "000 ████" in ran.out
    assert "4,000 shots" in ran.out


def test_a_circuit_goes_to_the_only_device(portal: FakePortal, tmp_path: Path) -> None:
    circuit = tmp_path / "bell.qasm"
    circuit.write_text("OPENQASM 3.0;\n")
    assert kyoyo(portal, "qpu", "submit", str(circuit), "--shots", "100").code == 0
    [body] = portal.bodies("POST /jobs")
    assert (body["kind"], body["offering"], body["program"], body["shots"]) == (
        "quantum",
        "aer",
        "OPENQASM 3.0;\n",
        100,
    )


def test_the_month_is_japans(portal: FakePortal) -> None:
    portal.on("GET /usage", {"month": "2026-12", "items": []})
    assert kyoyo(portal, "usage").code == 0  # 16:00 UTC on 30 November
    assert portal.asked[-1].url.params["month"] == "2026-12"
    assert kyoyo(portal, "usage", "--month", "2026-13").code == 2


def test_money_documents_are_shown_with_their_tables(portal: FakePortal) -> None:
    portal.on("GET /balance", {"available_yen": "12.5", "lots": [{"kind": "grant", "available_yen": "12.5"}]})
    ran = kyoyo(portal, "balance")
    assert "¥12.5" in ran.out
    assert "grant" in ran.out


def test_a_job_is_told_with_its_story(portal: FakePortal) -> None:
    story = [{"at": "2026-11-21T00:00:00+00:00", "kind": "Queued", "state": "QUEUED", "sentence": "It waits."}]
    portal.on("GET /jobs/j-1", a_job(story=story, held_yen="12.5"))
    ran = kyoyo(portal, "job", "j-1")
    assert "It waits." in ran.out
    assert "¥12.5" in ran.out


def test_calls_to_a_qpu_are_told_page_by_page(portal: FakePortal) -> None:
    calls = [
        {"number": number, "state": "SUCCEEDED", "shots": 100 + number, "charge_yen": "3.5"} for number in (3, 2)
    ] + [{"number": 1, "state": None, "code": "too-many-shots", "shots": 0, "charge_yen": None}]
    qpu = {"offering": "aer", "asked": 3, "calls": calls[:2], "next_cursor": "older"}
    portal.on("GET /jobs/j-1", a_job(qpu=qpu))
    assert "the newest 2 of 3; all of them: kyoyo job j-1 --calls" in kyoyo(portal, "job", "j-1").out
    pages = {"items": calls[:2], "next_cursor": "older"}, {"items": calls[2:], "next_cursor": None}
    shown = kyoyo(portal.on("GET /jobs/j-1/calls", *pages), "job", "j-1", "--calls").out
    assert all(word in shown for word in ("too-many-shots", "103", "102", "¥3.5", "aer"))
    assert kyoyo(portal.on("GET /jobs/j-1/calls", *pages), "job", "j-1", "--calls", "--json").told == {"items": calls}
    assert portal.asked[-1].url.params["cursor"] == "older"


def test_the_estimate_says_whether_the_wallet_covers_it(portal: FakePortal, script: str) -> None:
    ran = kyoyo(portal, "estimate", script)
    assert ran.out == "at most ¥100 (¥110 with tax), probably ¥50; available ¥1,000\nThe wallet covers it.\n"


def test_offerings_show_the_discount(portal: FakePortal) -> None:
    ran = kyoyo(portal, "offerings")
    assert all(amount in ran.out for amount in ("¥500", "¥400", "¥300"))
    assert "aer" in kyoyo(portal, "qpu", "ls").out
