# stress-ng: its stressors verify their own results; none may fail with us inside. Each does a fixed amount of
# work: who hangs is ended by --timeout, with success, and has not done it. Debian's has no names of its own: the
# profiles name the functions of libc and libm that each is about, beneath [stress-ng].
load real

NOISE='metrc:|completed in' # what it measured
TIMEOUT=120

# did_all METRICS OPTION...: as many operations as each --STRESSOR-ops says
did_all() {
	local metrics=$1 i
	local options=("${@:2}")
	for ((i = 0; i < ${#options[@]}; i++)); do
		[[ ${options[i]} == --*-ops ]] || continue
		awk -v name="${options[i]:2:-4}" -v count="${options[i + 1]}" '/stressor:/ {now = $NF}
			/bogo-ops:/ && now == name && $2 >= count {done = 1} END {exit !done}' "$metrics" && continue
		echo "${options[i]} ${options[i + 1]} not done:"
		cat "$metrics"
		return 1
	done
}

stress() { # OPTION...: stressors with their operations
	local command=(stress-ng --verify --metrics-brief --yaml metrics --temp-path "$PWD" --timeout "$TIMEOUT" "$@")
	plain "${command[@]}"
	mv metrics plain.metrics
	to_end -m "$BATS_TEST_TMPDIR/trees-%p" --dump-on-exit "$BATS_TEST_TMPDIR/dump-%p" -- "${command[@]}"
	agrees
	is "$STATUS" 0
	did_all plain.metrics "$@"
	did_all metrics "$@"
	for profile in cpu wall allocs threadcreate; do gather "$profile"; done
}

@test "stress-ng: cpu, every method" {
	stress --cpu 2 --cpu-method all --cpu-ops 1000
	most cpu.folded 80 '\[stress-ng\]'
	names cpu.folded '(__)?(ieee754_)?(sin|cos|exp|log)[a-z_0-9]*'
}

@test "stress-ng: vm, every method" {
	stress --vm 2 --vm-bytes 8m --vm-method all --vm-ops 20000
	most cpu.folded 80 '\[stress-ng\]' __libc_start_main
	names cpu.folded '(__memset_.*|madvise|munmap|mmap)'
}

@test "stress-ng: fork and vfork" {
	stress --fork 2 --fork-ops 200 --vfork 1 --vfork-ops 200
	names wall.folded wait4
	most cpu.folded 50 '\[stress-ng\]'
	names cpu.folded '_?_?(libc_)?[Ff]ork'
}

@test "stress-ng: pthread" {
	stress --pthread 2 --pthread-max 64 --pthread-ops 3000
	most cpu.folded 50 '\[stress-ng\]'
	names cpu.folded start_thread pthread_create
	most threadcreate.folded 99 '\[stress-ng\]'
}

@test "stress-ng: signals" {
	stress --signal 1 --signal-ops 100000 --sigsegv 1 --sigsegv-ops 20000 --sigq 1 --sigq-ops 20000 \
		--timer 1 --timer-ops 2000 --itimer 1 --itimer-ops 100
	most cpu.folded 80 '\[stress-ng\]'
	names cpu.folded __restore_rt kill '(__)?(libc_)?sigaction'
}

@test "stress-ng: malloc and mremap" {
	stress --malloc 2 --malloc-ops 30000 --malloc-bytes 4m --mremap 1 --mremap-ops 100 --mremap-bytes 4m
	most cpu.folded 80 '\[stress-ng\]'
	names cpu.folded '(_int_)?free' '(_int_)?malloc' mremap
	most allocs.folded 99 '\[stress-ng\]'
}

# Not mutex: where its first thread is done before the one that made it goes on, it says that it could make none.
@test "stress-ng: futexes, a pipe" {
	stress --futex 2 --futex-ops 15000 --pipe 1 --pipe-ops 100000
	most cpu.folded 80 '\[stress-ng\]'
	names cpu.folded '(__libc_)?(read|write)' syscall
}

# It counts on until its time is up, whatever it is asked for.
@test "stress-ng: semaphores" {
	TIMEOUT=3
	stress --sem 2 --sem-ops 1000
	names wall.folded pause
}
