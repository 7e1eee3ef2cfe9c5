from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kyoyo.errors import BadScript, UsageError
from kyoyo.script import Directives, parse_script, walltime_s

SHEBANG = "#!/bin/bash\n"


def test_the_directives_of_an_everyday_script_are_read() -> None:
    script = """#!/bin/bash
#SBATCH --job-name=resnet
#SBATCH -t 1-02:03:04
#SBATCH --gres=gpu:2   # two are enough
#SBATCH -o logs/%j.out -p gpu-demo

# a comment between
#SBATCH -A vision
echo hello
#SBATCH --gpus=8
"""
    assert parse_script(script) == Directives(
        name="resnet",
        walltime_s=((24 + 2) * 60 + 3) * 60 + 4,
        gpus=2,
        output="logs/%j.out",
        offering="gpu-demo",
        project="vision",
    )


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30", 1800),
        ("10:00", 600),
        ("4:00:00", 14_400),
        ("1-12", 129_600),
        ("1-12:30", 131_400),
        ("0-00:00:01", 1),
        ("90s", 90),
        ("4h", 14_400),
        ("1h30m", 5_400),
        ("2D", 172_800),
    ],
)
def test_a_time_limit_is_read_as_slurm_reads_it(text: str, seconds: int) -> None:
    assert walltime_s(text) == seconds


@given(st.integers(1, 10**8))
def test_every_number_of_seconds_survives_being_written_as_days_and_clock(seconds: int) -> None:
    days, rest = divmod(seconds, 86_400)
    assert walltime_s(f"{days}-{rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02}") == seconds
    assert walltime_s(f"{seconds}s") == seconds


@pytest.mark.parametrize(
    "text", ["", "0", "0:00", "-5", "1:2:3:4", "infinite", "4 h", "1-", "１０", "1e3", "1.5h", "h"]
)
def test_a_time_limit_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        walltime_s(text)


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("--nodelist=n1", "--nodelist"),
        ("--exclusive", "--exclusive"),
        ("-n 4", "-n"),
        ("--time", "--time needs a value"),
        ("--time=", "--time needs a value"),
        ("--gpus=h100:4", "h100:4"),
        ("--gres=gpu:h100:4", "--gres=gpu:h100:4"),
        ("--nodes=2", "--nodes=2"),
        ("gpus=1", "'gpus=1'"),
        ("--job-name='open", "a quote is opened"),
    ],
)
def test_what_cannot_be_honoured_is_named_with_its_line(line: str, named: str) -> None:
    with pytest.raises(BadScript, match=r"line 3: ") as refused:
        parse_script(f"{SHEBANG}# title\n#SBATCH {line}\n")
    assert named in refused.value.detail
    assert refused.value.line == 3


def test_an_unsupported_directive_lists_the_supported_ones() -> None:
    with pytest.raises(BadScript, match="--gres=gpu:N"):
        parse_script(f"{SHEBANG}#SBATCH --mem=4G\n")


@pytest.mark.parametrize("text", ["", "echo hello\n", "\n#!/bin/sh\n"])
def test_a_script_without_a_shebang_is_refused_as_sbatch_does(text: str) -> None:
    with pytest.raises(BadScript, match="begins with"):
        parse_script(text)


def test_dos_line_ends_are_refused() -> None:
    with pytest.raises(BadScript, match="DOS"):
        parse_script("#!/bin/sh\r\necho\r\n")


def test_lines_that_only_look_like_directives_are_comments() -> None:
    assert parse_script(f"{SHEBANG}##SBATCH --mem=1\n# SBATCH --mem=1\n#SBATCHED --mem=1\n") == Directives()


def test_a_quoted_value_and_a_hash_inside_a_word_are_kept() -> None:
    assert parse_script(f"{SHEBANG}#SBATCH --job-name='my run#1' # don't worry\n").name == "my run#1"


@given(st.text())
def test_no_text_raises_anything_but_a_named_refusal(text: str) -> None:
    with suppress(BadScript):
        parse_script(SHEBANG + "#SBATCH " + text)


@given(st.lists(st.sampled_from(["#SBATCH --gpus=7", "# note", "", "   "])), st.text(alphabet="abc #\n"))
def test_nothing_after_the_first_command_is_read(head: list[str], tail: str) -> None:
    before = parse_script(SHEBANG + "\n".join(head))
    assert parse_script(SHEBANG + "\n".join([*head, "true", "#SBATCH --bad", tail])) == before
