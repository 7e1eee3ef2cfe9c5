from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kyoyo.errors import BadScript
from kyoyo.script import Directives, over, parse_script
from kyoyo.script.amounts import Gpus, Memory, Per
from kyoyo.script.arrays import Array
from kyoyo.script.directives import HONOURED
from kyoyo.script.options import LETTERS, TAKES, Given, Takes, read_options
from kyoyo.script.relations import Dependency, SignalWish
from kyoyo.script.times import Begin

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
        gpus_per_node=Gpus(2),
        output="logs/%j.out",
        offering="gpu-demo",
        project="vision",
    )


def test_every_option_that_is_honoured_is_read() -> None:
    script = """#!/bin/bash
#SBATCH -N2 -n 8 -c4 --gpus-per-node=h200:4 --mem 64G
#SBATCH --array=1-3%2 -d afterok:12:13,afterany:14_2 -b now+1hour --signal=B:USR1@120
#SBATCH -C "a100&ib" --reservation=night -L matlab:2,ansys --exclusive --container-image=torch:2
#SBATCH -q spot --requeue -e %x.err --open-mode=append --export=NONE --mail-type=NONE -vQ
"""
    assert parse_script(script) == Directives(
        nodes=2,
        ntasks=8,
        cpus_per_task=4,
        gpus_per_node=Gpus(4, "h200"),
        memory=Memory(65_536, Per.NODE),
        array=Array((1, 2, 3), 2),
        dependencies=(Dependency("afterok", "12"), Dependency("afterok", "13"), Dependency("afterany", "14_2")),
        begin=Begin(from_now_s=3600),
        signal=SignalWish("USR1", 120),
        constraint="a100&ib",
        reservation="night",
        licenses={"matlab": 2, "ansys": 1},
        exclusive=True,
        image="torch:2",
        service_class="spot",
        max_attempts=3,
        error="%x.err",
        appends=True,
        exports=parse_script("#!/bin/sh\n#SBATCH --export=NIL").exports,
        quiet=True,
    )


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("--nodelist=n1", "--nodelist"),
        ("--exclusive=user", "--exclusive=user"),
        ("-n four", "--ntasks: 'four'"),
        ("--foo", "--foo is no option of sbatch"),
        ("-Z", "-Z is no option of sbatch"),
        ("--ti=1", "--ti is ambiguous: --time, --time-min"),
        ("--requeue=yes", "--requeue takes no value"),
        ("--hold", "--hold is not supported: a job that waits"),
        ("-H", "--hold is not supported"),
        ("--mail-type=END", "--mail-type is not supported: Kyoyo sends no mail"),
        ("--chdir=/tmp", "--chdir is not supported"),
        ("--uid=root", "--uid is not supported"),
        ("--array=0-99999", "more than 1,000 tasks"),
        ("--wrap=true", "--wrap is not supported"),
        ("--time", "--time needs a value"),
        ("--time=", "--time (-t) needs a value"),
        ("--gres=shard:4", "--gres=shard:4"),
        ("--nodes=2-4", "--nodes=2-4"),
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
    with pytest.raises(BadScript, match=r"--gres=gpu\[:type\]:N"):
        parse_script(f"{SHEBANG}#SBATCH --network=ib\n")


@pytest.mark.parametrize("text", ["echo hello\n", "\n#!/bin/sh\n"])
def test_a_script_without_a_shebang_is_refused_as_sbatch_does(text: str) -> None:
    with pytest.raises(BadScript, match="begins with"):
        parse_script(text)


def test_an_empty_script_is_refused_as_sbatch_does() -> None:
    with pytest.raises(BadScript, match="empty"):
        parse_script("")


def test_dos_line_ends_are_refused() -> None:
    with pytest.raises(BadScript, match="DOS"):
        parse_script("#!/bin/sh\r\necho\r\n")


def test_lines_that_only_look_like_directives_are_comments() -> None:
    assert parse_script(f"{SHEBANG}##SBATCH --uid=1\n# SBATCH --uid=1\n#SBATCHED --uid=1\n") == Directives()


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


@pytest.mark.parametrize("name", sorted(TAKES))
def test_every_option_of_sbatch_is_honoured_or_refused_by_name(name: str) -> None:
    value = "" if TAKES[name] is Takes.NOTHING else "=!"
    told = ""
    try:
        parse_script(f"{SHEBANG}#SBATCH --{name}{value}")
    except BadScript as refused:
        told = refused.detail
    assert name in told or "!" in told or (not told and name in HONOURED)


@given(options=st.lists(st.sampled_from(sorted(LETTERS.items())), min_size=1, max_size=6), joined=st.booleans())
def test_letters_and_words_say_the_same(*, options: list[tuple[str, str]], joined: bool) -> None:
    long: list[str] = []
    short: list[str] = []
    for name, letter in options:
        value = ["v"] if TAKES[name] is Takes.VALUE else []
        long += [f"--{name}", *value]
        short += [f"-{letter}{''.join(value)}"] if joined else [f"-{letter}", *value]
    assert read_options([*short, "--", "-x"]) == read_options([*long, "--", "-x"])


def test_letters_without_a_value_may_stand_together_and_the_first_operand_ends_the_options() -> None:
    assert read_options(["-WQt5", "job.sh", "-t", "7"]) == (
        [Given("wait"), Given("quiet"), Given("time", "5")],
        ["job.sh", "-t", "7"],
    )


def test_an_option_may_be_shortened_while_it_is_the_only_one() -> None:
    assert parse_script(f"{SHEBANG}#SBATCH --part=gpu --job=x") == Directives(offering="gpu", name="x")


def test_the_upper_one_wins_and_says_all_gpus_again() -> None:
    script = parse_script(f"{SHEBANG}#SBATCH -J below --gres=gpu:4 -t 5 --comment=x")
    above = Directives(name="above", gpus=Gpus(8))
    assert over(script, above) == Directives(name="above", gpus=Gpus(8), walltime_s=300, notes=("say.note_comment",))


def test_what_is_accepted_and_changes_nothing_leaves_a_note() -> None:
    told = parse_script(f"{SHEBANG}#SBATCH --export=ALL,A=1 --mem=0 --comment=x")
    assert told.notes == ("say.note_export", "say.note_memory", "say.note_comment")
