#!/bin/bash
# What people have in their scripts. It runs before Slurm's own commands and before ours, and must not notice.
set -u
fail() { echo "everyday: $*" >&2; exit 1; }
wait_for() { while [ -n "$(squeue -h -j "$1" -o %i 2>/dev/null)" ]; do sleep 0.3; done; }
state_of() { sacct -X -n -P -j "$1" -o state | head -1; }
await_state() { for _ in $(seq 100); do [ "$(state_of "$1")" = "$2" ] && return; sleep 0.2; done; fail "$1 is $(state_of "$1"), not $2"; }

cat >job.sh <<'J'
#!/bin/bash
#SBATCH --job-name=everyday
#SBATCH --time=2:00
#SBATCH --gres=gpu:1        # one is enough
#SBATCH --output=%x-%j.out
echo "hello from $1, task ${SLURM_ARRAY_TASK_ID:-none}"
exit "${2:-0}"
J

# submit, and a chain of dependencies
first=$(sbatch --parsable job.sh one) || fail "sbatch"
[[ $first =~ ^[0-9]+$ ]] || fail "not a number: $first"
told=$(sbatch --dependency=afterok:"$first" -J second job.sh two)
[[ $told =~ ^Submitted\ batch\ job\ ([0-9]+)$ ]] || fail "told: $told"
second=${BASH_REMATCH[1]}
wait_for "$first"; wait_for "$second"
await_state "$first" COMPLETED; await_state "$second" COMPLETED
[ "$(sacct -X -nP -j "$second" -o jobname,exitcode)" = "second|0:0" ] || fail "sacct: $(sacct -X -nP -j "$second" -o jobname,exitcode)"
sacct -X -j "$first" | head -1 | grep -q '^JobID *JobName *Partition *Account *AllocCPUS *State *ExitCode $' || fail "heading of sacct"

# a failure, its code, and what depends on it
sbatch --wait -Q -J failing job.sh three 3; code=$?
[ $code -eq 3 ] || fail "sbatch --wait ended with $code"
grep -qx "hello from three, task none" failing-*.out || fail "no output file"
bad=$(sacct -X -nP --name=failing -o jobid)
[ "$(sacct -X -nP -j "$bad" -o state,exitcode)" = "FAILED|3:0" ] || fail "state of a failure"

# an array, task by task
array=$(sbatch --parsable --array=1-3%2 job.sh four)
wait_for "$array"
await_state "${array}_3" COMPLETED
[ "$(sacct -X -nP -j "$array" -o jobid,state | sort | tr '\n' ' ')" = "${array}_1|COMPLETED ${array}_2|COMPLETED ${array}_3|COMPLETED " ] || fail "array: $(sacct -X -nP -j "$array" -o jobid,state)"

# the queue, and cancelling
long=$(sbatch --parsable -J longone -t 5 --gres=gpu:1 --wrap 'sleep 300')
squeue | head -1 | grep -q 'JOBID PARTITION     NAME     USER ST       TIME  NODES NODELIST(REASON)' || fail "heading of squeue"
[ "$(squeue -h --me -n longone -o %i)" = "$long" ] || fail "squeue --me"
scancel "$long" || fail "scancel"
wait_for "$long"
for _ in $(seq 100); do [[ $(state_of "$long") == CANCELLED* ]] && break; sleep 0.2; done
[[ $(state_of "$long") == CANCELLED* ]] || fail "$long is $(state_of "$long")"
later=$(sbatch --parsable -J later --begin=now+1hour job.sh five)
[ "$(squeue -h -j "$later" -o '%t %r')" = "PD BeginTime" ] || fail "begin: $(squeue -h -j "$later" -o '%t %r')"
scancel -n later; wait_for "$later"

# from standard input, only a test, and what is no option
printf '#!/bin/sh\n#SBATCH -t 1 -J piped --gres=gpu:1\ntrue\n' | sbatch | grep -q '^Submitted batch job ' || fail "standard input"
sbatch --test-only job.sh six 2>/dev/null || fail "--test-only"
sbatch --no-such-option job.sh 2>&1 | grep -q "unrecognized option '--no-such-option'" || fail "an unknown option"
squeue -h -j 999999 2>/dev/null && fail "a job that nobody has"
[ -n "${SITE_HIDES_NODES:-}" ] || sinfo -h -o %P | grep -q . || fail "sinfo"
sshare -n >/dev/null || fail "sshare"
echo "all is well"
