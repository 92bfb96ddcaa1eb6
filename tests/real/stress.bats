# stress-ng: its stressors verify their own results; none may fail with us inside.
load real

stress() { # STRESSOR...: each with two workers for a fixed amount of work, and their checks
	same stress-ng --verify --metrics-brief --quiet --temp-path "$PWD" --timeout 30 "$@"
	is "$STATUS" 0
	is "$(cat "$ERR")" "$(cat plain.err)"
}

@test "stress-ng: cpu, every method" { stress --cpu 2 --cpu-method all --cpu-ops 30; }
@test "stress-ng: vm, every method" { stress --vm 2 --vm-bytes 8m --vm-method all --vm-ops 600; }
@test "stress-ng: fork and vfork" { stress --fork 2 --fork-ops 200 --vfork 1 --vfork-ops 200; }
@test "stress-ng: pthread" { stress --pthread 2 --pthread-max 64 --pthread-ops 600; }
@test "stress-ng: signals" { stress --signal 1 --signal-ops 20000 --sigsegv 1 --sigsegv-ops 2000 --sigq 1 --sigq-ops 2000 --timer 1 --timer-ops 2000 --itimer 1 --itimer-ops 200; }
@test "stress-ng: malloc and mremap" { stress --malloc 2 --malloc-ops 10000 --malloc-bytes 4m --mremap 1 --mremap-ops 100; }
@test "stress-ng: locks, semaphores, futexes, condition of a pipe" { stress --mutex 2 --mutex-ops 1500 --sem 2 --sem-ops 1500 --futex 2 --futex-ops 1500 --pipe 1 --pipe-ops 1500; }
