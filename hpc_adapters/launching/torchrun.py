"""A Python program under torchrun: one agent a node, so many processes under each. Pure.

- Signals: Slurm and our own supervisor send them to every process of a job. torchrun's agent would end its processes at
  the first one, and kill them thirty seconds later whatever they are writing; so this agent lets SIGTERM, SIGUSR1 and
  SIGUSR2 pass, and each process of the job decides for itself. On several nodes and on one, agents are tasks of srun,
  because Slurm does not tell the batch script of a preemption.
- `--max-restarts 0`: whether to start again is the portal's decision, with its own hold and its own record.
- The exit code of a program that failed is the job's.
- Nothing is set of NCCL or gloo: how nodes reach each other is the site's.
"""

from __future__ import annotations

from collections.abc import Sequence
from shlex import quote
from typing import Final

from hpc_adapters.contract import Torchrun

FIRST_PORT: Final = 20_000
PORTS: Final = 10_000  # below the range that kernels hand out by themselves

# The handlers are functions, not "ignore": what is ignored would be inherited, and Lightning installs its own handler
# only where it finds the default. `PET_…` and `TORCHELASTIC_…` are what the newer and the older torchrun read.
# An agent whose own processes have ended well may wait for one of another node that will never come, deaf inside the
# library. When it is told to end (srun does, once another agent has failed) a thread sees to it, so that the other's
# exit code, and not that of a kill, is the job's.
_AGENT: Final = """\
import glob, os, runpy, signal, sys, threading, time

def end_when_told(told):
    while signal.SIGTERM not in os.read(told, 64):
        pass
    while any(open(path).read() for path in glob.glob("/proc/self/task/*/children")):
        time.sleep(0.2)
    time.sleep(1)
    os._exit(1)

for name in ("SIGTERM", "SIGUSR1", "SIGUSR2"):
    signal.signal(getattr(signal, name), lambda *_: None)
os.environ["PET_SIGNALS_TO_HANDLE"] = os.environ["TORCHELASTIC_SIGNALS_TO_HANDLE"] = "SIGINT"
several = "--rdzv-endpoint" in sys.argv
if several:
    first = int(os.environ["SLURM_NODEID"] == "0")
    sys.argv[1:1] = ["--rdzv-conf", f"is_host={first},join_timeout=600"]
    told, tell = os.pipe()
    os.set_blocking(tell, False)
    signal.set_wakeup_fd(tell, warn_on_full_buffer=False)
    threading.Thread(target=end_when_told, args=(told,), daemon=True).start()
try:
    runpy.run_module("torch.distributed.run", run_name="__main__", alter_sys=True)
except Exception as error:
    if type(error).__name__ != "ChildFailedError":
        raise
    print(error, file=sys.stderr, flush=True)
    code = error.get_first_failure()[1].exitcode
    sys.exit(code if code > 0 else 1 if several and code == -signal.SIGTERM else 128 - code)
"""

# Which Python: the image's, else the one that the program's own first line names by its path, else the site's.
_CHOOSE: Final = """\
kyoyo_line=
IFS= read -r kyoyo_line <"$kyoyo_script" || :
case $kyoyo_line in
    *[[:space:]]*) kyoyo_line= ;;
    '#!'/*python*) kyoyo_line=${kyoyo_line#??} ;;
    *) kyoyo_line= ;;
esac
kyoyo_python=${KYOYO_PYTHON:-${kyoyo_line:-${KYOYO_SITE_PYTHON:-python3}}}
"""
_PYTHON: Final = '"$kyoyo_python"'

# The batch script runs on the first node. Slurm's own address of it is what the other nodes can reach, also where the
# names of nodes do not resolve; where a site keeps it private, the name must do. The port starts at one of the job's
# own and is the first that is free there.
_MEET: Final = f"""\
kyoyo_first=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
kyoyo_address=$(scontrol show node "$kyoyo_first" --oneliner 2>/dev/null | sed -n 's/.* NodeAddr=\\([^ ]*\\).*/\\1/p')
kyoyo_port=$({_PYTHON} -c '
import socket, sys
first, ports = int(sys.argv[2]), int(sys.argv[3])
for step in range(ports):
    port = first + (int(sys.argv[1]) + step) % ports
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError:
            continue
    print(port)
    break
' "$SLURM_JOB_ID" {FIRST_PORT} {PORTS})
"""


def torchrun(
    launch: Torchrun,
    *,
    nodes: int,
    script: str | None = None,
    arguments: Sequence[str] = (),
    slurm: bool = False,
) -> str:
    """Shell lines whose last command is the program, so that its exit code is theirs. POSIX sh is enough.

    `script` and `arguments` are taken word for word; without a script, program and arguments are the shell's own "$@".
    KYOYO_ATTEMPT_ID must be set. Python is KYOYO_PYTHON, else that of a first line like `#!/sw/venv/bin/python`,
    else KYOYO_SITE_PYTHON, else python3.
    `slurm`: inside a batch job of Slurm, which more than one node needs.
    """
    if nodes > 1 and not slurm:
        raise ValueError("more than one node needs srun")
    program = ['"$@"'] if script is None else [quote(script), *map(quote, arguments)]
    processes = ["--nproc-per-node", str(launch.processes_per_node), "--max-restarts", "0"]
    named = '"$1"' if script is None else quote(script)
    choose = f"kyoyo_script={named}\n{_CHOOSE}"
    if nodes == 1:
        return choose + _line(
            *_step(nodes) if slurm else (), _PYTHON, "-c", quote(_AGENT), "--standalone", *processes, *program
        )
    meeting = ["--nnodes", str(nodes), "--rdzv-backend", "c10d", "--rdzv-id", '"$KYOYO_ATTEMPT_ID"']
    meeting += ["--rdzv-endpoint", '"${kyoyo_address:-$kyoyo_first}:$kyoyo_port"']
    return choose + _MEET + _line(*_step(nodes), _PYTHON, "-c", quote(_AGENT), *meeting, *processes, *program)


def _step(nodes: int) -> tuple[str, ...]:
    """One agent a node with all that the job has there; where one fails the others end, too."""
    layout = (f"--nodes={nodes}", f"--ntasks={nodes}", "--ntasks-per-node=1", "--kill-on-bad-exit=1")
    return ("srun", *layout, "--cpu-bind=none", "--mem=0", "--export=ALL", "--unbuffered")


def _line(*words: str) -> str:
    return " ".join(words) + "\n"
