# The head of every job: the gate, then the user's program. Above it stand the facts of this attempt (ky_…), as words of
# harmless characters only. Nothing of the user's is looked at before the gate has been passed. What it needs of a node:
# bash 4.4, coreutils, and the shared folder. A process costs a node some milliseconds, and jobs are many: what the shell
# can do itself it does.
#
# Exit codes of its own, given only while the user's program has not run (the adapter checks that, with the elapsed time):
#   75  another start of this attempt has passed the gate      74  the shared folder cannot be used
#   73  the program or its secrets could not be laid out

set +e
set -u
umask 077

ky_say() { printf 'kyoyo: %s\n' "$*" >&2; }

ky_decode() { exec base64 -d < <(printf '%s' "$1"); } # only in a process of its own

ky_number() { if [[ ${2:-} =~ ^[0-9]{1,18}$ ]]; then printf -v "$1" '%s' "$2"; else printf -v "$1" null; fi; }

# A file that appears whole, and is on the disk when this returns. Until then a crash may leave it empty, which reads as
# the moment before.
ky_record() {
    local aside=".$1.$BASHPID"
    printf '%s\n' "$2" >"$aside" || return 1
    mv -f -- "$aside" "$1" || return 1
    sync -- "$1" . 2>/dev/null
    return 0
}

ky_fail() {
    ky_say "$2"
    ky_record end.json "{\"exit_code\": $1, \"by_itself\": false, \"head\": true}"
    exit "$1"
}

# ---- the folder, which may come late where the file system is slow ---------------------------------------------------

for ((ky_try = 0; ; ky_try++)); do
    cd -- "$ky_work" 2>/dev/null && break
    if ((ky_try >= 15)); then
        ky_say "the working folder cannot be reached from this node"
        exit 74
    fi
    sleep 1
done

# ---- the gate: one start of an attempt gets through, in all its life -------------------------------------------------

# Who came second repeats the end of the first when that ended by itself, so that Slurm's last word is the right one.
ky_turned_away() {
    local line
    for ((ky_try = 0; ky_try < 5; ky_try++)); do
        if IFS= read -r line 2>/dev/null <end.json && [[ $line =~ ^\{\"exit_code\":\ ([0-9]{1,3}),\ \"by_itself\":\ true, ]]; then
            exit "${BASH_REMATCH[1]}"
        fi
        sleep 1
    done
    ky_say "this attempt has been started before: nothing is run again"
    exit 75
}

for ((ky_try = 0; ; ky_try++)); do
    mkdir gate 2>/dev/null && break
    [[ -d gate ]] && ky_turned_away
    if ((ky_try >= 10)); then
        ky_say "the working folder cannot be written"
        exit 74
    fi
    sleep 1
done

ky_number ky_run_id "$ky_run_id"
ky_number ky_run_restart "$ky_run_restart"
ky_number ky_run_start "$ky_run_start"
printf -v ky_now '%(%s)T' -1
ky_started="{\"job_id\": $ky_run_id, \"restart\": $ky_run_restart, \"start\": $ky_run_start, \"at\": $ky_now}"
if ! ky_record started.json "$ky_started"; then
    ky_say "the working folder cannot be written"
    exit 74
fi

# ---- from here on, what is the user's --------------------------------------------------------------------------------

if ! { (ky_decode "$ky_program") >script && chmod 0700 script; }; then
    ky_fail 73 "the program could not be written"
fi

ky_secret=()
if ((ky_secrets > 0)); then
    mapfile -d '' -t ky_secret <.secrets
    rm -f -- .secrets
    if ((${#ky_secret[@]} != ky_secrets)); then
        ky_fail 73 "the secrets are not there"
    fi
fi

# One list of: words before the program, its own words, the job's variables, our variables.
mapfile -d '' -t ky_all < <(ky_decode "$ky_lists")
if ((${#ky_all[@]} != ky_counts[0] + ky_counts[1] + ky_counts[2] + ky_counts[3])); then
    ky_fail 73 "the program's words could not be read"
fi
ky_before=("${ky_all[@]:0:ky_counts[0]}")
ky_words=("${ky_all[@]:ky_counts[0]:ky_counts[1]}")
ky_variables=("${ky_all[@]:ky_counts[0] + ky_counts[1]}")

ky_home=~
if [[ ! -d $ky_home || ! -w $ky_home ]]; then ky_home=$ky_work; fi
if [[ -z $ky_user ]]; then ky_user=$(id -un 2>/dev/null); fi
ky_base=("HOME=$ky_home" "USER=$ky_user" "LOGNAME=$ky_user" "PWD=$ky_work" "OLDPWD=$ky_work")

mkdir -p -- "${ky_folders[@]}" 2>/dev/null

if [[ -n $ky_launch ]]; then
    ky_command=(/bin/sh -c "$(ky_decode "$ky_launch")")
elif IFS= read -r -n 2 ky_first <script 2>/dev/null && [[ $ky_first == '#!' ]]; then
    ky_command=("${ky_before[@]}" "$ky_work/script" "${ky_words[@]}")
else
    ky_command=("${ky_before[@]}" /bin/sh "$ky_work/script" "${ky_words[@]}")
fi

# ---- signals ---------------------------------------------------------------------------------------------------------

ky_child=
ky_told=false

# Every living process of the program, itself first.
ky_family() {
    local pid=$1 each
    printf '%s\n' "$pid"
    for each in $(cat "/proc/$pid/task/"*/children 2>/dev/null); do ky_family "$each"; done
}

# A warning goes to those that wait for it: a shell in between, which would die of it, is spared.
ky_warn() {
    local number pid mask kind
    number=$(kill -l "$1")
    for pid in $(ky_family "$ky_child"); do
        while read -r kind mask; do
            case $kind in
                SigCgt: | SigBlk:)
                    if (((0x$mask >> (number - 1)) & 1)); then
                        kill -s "$1" "$pid" 2>/dev/null
                        break
                    fi
                    ;;
            esac
        done 2>/dev/null <"/proc/$pid/status"
    done
}

ky_signal() {
    case $1 in TERM | INT | HUP | QUIT) ky_told=true ;; esac
    [[ -n $ky_child ]] || return 0
    case $1 in
        "$ky_warning" | USR1 | USR2 | ALRM) ky_warn "$1" ;;
        *) kill -s "$1" -- "-$ky_child" 2>/dev/null ;;
    esac
}

for ky_name in TERM INT HUP QUIT USR1 USR2 ALRM; do
    # shellcheck disable=SC2064
    trap "ky_signal $ky_name" "$ky_name"
done

# ---- the program -----------------------------------------------------------------------------------------------------

# Whether this node shows a GPU that can be measured: to start a Python that finds none costs more than all the rest.
ky_has_device() {
    local each
    for each in $ky_devices; do
        if [[ -e $each ]]; then return 0; fi
    done
    return 1
}

# It holds the other end of a pipe until it has ended.
ky_sampling=
if [[ -r .sampler.py ]]; then
    if ky_has_device; then
        exec {ky_sampled}< <(exec python3 -I .sampler.py "$ky_work" --parent "$$" 2>/dev/null </dev/null)
        ky_sampling=$!
    else
        printf '{"measured": false, "reason": "no-device"}\n' >gpu.json
    fi
fi

# The end is written down by us and one more process, which is as old as we are and lies as deep as the program's own.
# Who kills a job kills one process after the other, the eldest or the deepest first, and a program of which only a part
# has been killed may still go on and end: by then one of us two is dead, and no such end is taken for the program's own.
exec {ky_recorder}> >(
    trap '' TERM INT HUP QUIT USR1 USR2 ALRM
    unset ky_secret
    (
        IFS= read -r ky_end && ky_record end.json "$ky_end"
    )
    exit "$?" # a process in between, so that the one within lies deep enough
)
ky_recording=$!

# Its exit code is written down by a shell in between, deaf to signals: where bash 5.2 is called from `wait` by a signal
# and the end comes at that moment, the next `wait` says 255 and `read` fails (one of five did).
set -m # a process group of its own
(
    trap : TERM INT HUP QUIT USR1 USR2 ALRM # what runs below it finds the defaults
    umask 022
    for ky_each in "${ky_secret[@]}"; do export "${ky_each?}"; done
    if [[ -n $ky_sampling ]]; then exec {ky_sampled}<&-; fi
    exec {ky_recorder}>&-
    exec {ky_stderr}>&2 2>/dev/null # its own "Killed" is not the program's word
    env "${ky_base[@]}" "${ky_variables[@]}" "${ky_command[@]}" 2>&"$ky_stderr" {ky_stderr}>&-
    ky_record .exit-code "$?"
) </dev/null &
ky_child=$!
set +m
unset ky_secret

# A signal to us ends `wait`, not the program.
while :; do
    wait "$ky_child"
    ky_code=$?
    kill -0 "$ky_child" 2>/dev/null || break
done
{ ky_last=$(<.exit-code); } 2>/dev/null
if [[ $ky_last =~ ^[0-9]{1,3}$ ]]; then ky_code=$ky_last; fi

# When we are being ended, what the program started may still be saving its work: Slurm says how long.
while [[ $ky_told == true ]] && kill -0 -- "-$ky_child" 2>/dev/null; do sleep 0.2; done

if [[ $ky_told == true ]]; then ky_itself=false; else ky_itself=true; fi
printf -v ky_now '%(%s)T' -1
trap '' PIPE # it may be gone
printf '%s\n' "{\"exit_code\": $ky_code, \"by_itself\": $ky_itself, \"head\": false, \"at\": $ky_now}" 1>&"$ky_recorder" 2>/dev/null
exec {ky_recorder}>&-
while :; do
    wait "$ky_recording"
    ky_recorded=$?
    kill -0 "$ky_recording" 2>/dev/null || break
done
if ((ky_recorded == 137)); then ky_code=137; fi # so has it been, and we are next
if [[ -n $ky_sampling ]]; then
    kill -s TERM "$ky_sampling" 2>/dev/null
    IFS= read -r -t 2 -u "$ky_sampled" _
fi
exit "$ky_code"
