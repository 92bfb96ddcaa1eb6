# The life of a process: whatever it does to itself, it ends as it would without us, and leaves no
# mount, no link, no process of ours.
load ../helper

LIFE=$TARGET/life

reapers_left() {
	find /proc/[0-9]*/exe -maxdepth 0 -lname "$BUILD/fs/proffs-reaper" 2>/dev/null || true
}

links_left() {
	find "$XDG_RUNTIME_DIR" -type l
}

nothing_left() {
	[ -z "$(mounts_left; links_left; reapers_left)" ] && return 0
	echo "left: $(mounts_left; links_left; reapers_left)"
	return 1
}

# outcome CMD...: its standard output and its exit code; five minutes are for what hangs.
outcome() {
	local code=0
	timeout -k 1 300 "$@" </dev/null 2>>"$ERR" 3>&- || code=$?
	echo "exit code: $code"
}

# watched WAY CMD...: the same with the agent in it. The command knows where its tree will be.
watched() {
	local way=$1
	shift
	case $way in
	attached) LIFE_TREE=$TREE outcome "$PROFFS" run -m "$TREE" -- "$@" ;;
	detached) LIFE_TREE=$XDG_RUNTIME_DIR/proffs/%p outcome "$PROFFS" run -- "$@" ;;
	preloaded)
		outcome env LD_PRELOAD="$BUILD/libproffs.so" PROFFS_MOUNT="$TREE" LIFE_TREE="$TREE" "$@"
		;;
	esac
}

# lives CASE [ARGS]: with and without us, in every way in, the same.
lives() {
	local plain way
	plain=$(outcome "$LIFE" "$@")
	for way in ${WAYS:-attached detached preloaded}; do
		echo "$way"
		is "$(watched "$way" "$LIFE" "$@")" "$plain"
		wait_until 5 nothing_left
	done
}

# (dlsym() and pthread_create() ask malloc. GCL's, which maxima runs on, is such a one.)
@test "a malloc of the program's own that works from main() on: it runs unwatched, and is told so" {
	for name in latemalloc latemalloc_no; do
		is "$(outcome "$PROFFS" run -m "$TREE" -- "$TARGET/$name")" "$(outcome "$TARGET/$name")"
		has "$(cat "$ERR")" "the program's own malloc does not work before main() begins"
		: >"$ERR"
		# Who has not asked for it is told nothing.
		is "$(outcome "$PROFFS" run -m "$TREE-%p" -- sh -c '"$0"; exit $?' "$TARGET/$name")" "$(outcome "$TARGET/$name")"
		hasnt "$(cat "$ERR")" "malloc"
	done
	wait_until 5 nothing_left
}

@test "a normal exit" { lives return; }

@test "_exit" { lives _exit; }

@test "ended by a signal" {
	lives signal 15
	lives signal 9
	lives signal 1
}

@test "abort" { lives abort; }

@test "a segmentation fault with a core" { lives segv; }

@test "exec of another dynamic program" { lives exec /bin/sh -c 'sleep 0.5; echo other; exit 5'; }

@test "the program that exec starts gets the tree" {
	LIFE_TREE=$TREE background "$PROFFS" run -m "$TREE" -- "$LIFE" exec /bin/sleep 100
	sleeps() { [ "$(tr '\0' ' ' <"$TREE/cmdline")" = "/bin/sleep 100 " ]; }
	wait_until 20 sleeps
	is "$(mounts_left | wc -l)" 1
	tree_stop
	wait_until 5 nothing_left
}

@test "exec of a static program leaves no corpse while that lives" {
	lives exec "$TARGET/static"
	cat >still.c <<-END
		#include <unistd.h>
		int main(void) { return pause(); }
	END
	${CC:-cc} -static -o still still.c
	LIFE_TREE=$TREE background "$PROFFS" run -m "$TREE" -- "$LIFE" exec "$PWD/still"
	is_still() { [ "$(readlink "/proc/$PID/exe")" = "$PWD/still" ]; }
	wait_until 20 is_still
	wait_until 5 nothing_left
	tree_stop
}

@test "fork" { lives fork; }

@test "vfork" { lives vfork; }

@test "posix_spawn" { lives spawn /bin/sh -c 'echo spawned; exit 23'; }

@test "a daemon's tree goes with its first process, and the daemon lives on" {
	touch go
	lives daemonize "$PWD/go"
	for pid in $(pgrep -x life); do
		! grep -qzxF "PROFFS_TEST_DIR=$PROFFS_TEST_DIR" "/proc/$pid/environ" || echo "$pid" >>daemons
	done
	is "$(wc -l <daemons)" 4
	rm go
	gone() { ! kill -0 $(cat daemons) 2>/dev/null; }
	wait_until 5 gone
}

@test "setgid and setuid" {
	[ "$(id -u)" -eq 0 ] || skip "for root"
	lives setuid
}

# libc ends a process of which one thread may do this and another may not.
@test "setuid by a program that keeps its capabilities" {
	[ "$(id -u)" -eq 0 ] || skip "for root"
	lives capabilities
	for way in attached detached preloaded; do
		is "$(watched "$way" setpriv --reuid 12345 --regid 12345 --clear-groups id)" \
			"$(outcome setpriv --reuid 12345 --regid 12345 --clear-groups id)"
		wait_until 5 nothing_left
	done
}

@test "chroot" {
	[ "$(id -u)" -eq 0 ] || skip "for root"
	mkdir -p root
	touch root/inside
	lives chroot root
}

@test "a mount table of its own" {
	[ "$(id -u)" -eq 0 ] || skip "for root"
	lives unshare
}

@test "a user namespace of its own, early and late" {
	lives other_users
	WAYS='attached preloaded' # unshare(1) may not see where the published ones are
	for way in $WAYS; do
		is "$(watched "$way" unshare -Ur sh -c 'id -u; exit 3')" "$(outcome unshare -Ur sh -c 'id -u; exit 3')"
		wait_until 5 nothing_left
	done
}

@test "into the user namespace of another process" {
	unshare -U sleep 100 &
	STARTED+=("$!")
	other=$!
	has_moved() { [ "$(readlink /proc/self/ns/user)" != "$(readlink "/proc/$other/ns/user")" ]; }
	wait_until 10 has_moved
	WAYS='attached preloaded'
	for way in $WAYS; do
		is "$(watched "$way" nsenter -U --preserve-credentials -t "$other" sh -c 'id -u; exit 3')" \
			"$(outcome nsenter -U --preserve-credentials -t "$other" sh -c 'id -u; exit 3')"
		wait_until 5 nothing_left
	done
}

@test "a mount namespace as the first thing a program, its shell's child or its own asks for" {
	[ "$(id -u)" -eq 0 ] || skip "for root"
	for ((i = 0; i < 8; i++)); do
		is "$(outcome "$PROFFS" run -m "$TREE-%p" -- "$TARGET/moves" 4)" "0 refused
exit code: 0"
		is "$(outcome "$PROFFS" run -m "$TREE-%p" -- sh -c "'$TARGET/moves' 4; exit 0")" "0 refused
exit code: 0"
	done
}

# What takes the tree away is a process, for which three of these descriptors are needed at once.
@test "sixteen descriptors and no more" {
	for end in 'exit 3' 'kill -9 $$'; do
		run "$PROFFS" run -m "$TREE" -- prlimit --nofile=16 dash -c 'i=0; until [ -e "$1/README" ] || [ $((i += 1)) -gt 600 ]; do sleep 0.05; done; '"$end" sh "$TREE"
		is "$status" "$([ "$end" = 'exit 3' ] && echo 3 || echo 137)"
		wait_until 5 nothing_left
	done
}

@test "closefrom" { lives closefrom; }

@test "dup2 over descriptors 3 to 20" { lives dup2; }

@test "exit with files of its own tree open" { lives open; }

@test "a stopped program's readers can be interrupted" {
	# One on its way would still take a request with it, which nobody can take back.
	all_stopped() { ! cut -d' ' -f3 "/proc/$PID/task/"*/stat | grep -qv T; }

	tree_start -- sleep 100
	kill -STOP "$PID"
	wait_until 5 all_stopped
	is "$(timeout -s INT 1 cat "$TREE/heap" || echo $?)" 124
	kill -CONT "$PID"
	tree_ready
	tree_stop
	wait_until 5 nothing_left
}

# The kernel would end the whole tree. Where it has no such setting, it has one here.
@test "a kernel with little patience: who waits for longer is told so, and the tree stays" {
	mkdir -p settings/fuse
	echo 15 >settings/fuse/max_request_timeout
	background own_mounts bash -c 'mount --bind settings /proc/sys/fs && exec "$@"' sh "$PROFFS" run -- sleep 100
	tree=$XDG_RUNTIME_DIR/proffs/$PID
	wait_until 20 test -r "$tree/README"
	cat "$tree/events" >events &
	stream=$!
	STARTED+=("$stream")
	run timeout 60 cat "$tree/cpu-3600s.pprof"
	is "$status" 1 # not timeout's 124
	has "$output" "Interrupted system call"
	has "$(cat "$tree/status")" "max_request_timeout: a read that waits 11 s fails with EINTR"
	# A stream's reader is kept by a line.
	kept() { grep -q 'nothing new$' events; }
	wait_until 30 kept
	kill -0 "$stream"
}

# Each of the holes that it finds is one that ours could be given: its mappings would be ours, or ours its.
digs() { # HOW: by itself, or by a shell, in which ours come while it runs
	local how=$1
	shift
	case $how in
	itself) set -- "$@" -- "$TARGET/holes" 0.6 1 ;;
	executed) set -- "$@" -- sh -c "'$TARGET/holes' 0.6 1; exit \$?" ;;
	esac
	for _ in {1..6}; do
		is "$(outcome "$PROFFS" run --set cpu/hz=1000 --set wall/hz=50 --set heap_sample_bytes=16384 "$@")" \
			"enough mappings, 0 changed
enough mappings, 0 changed
exit code: 0" || return 1
	done
	wait_until 20 nothing_left
}

@test "who moves a mapping into a hole of its own finds none of ours there" {
	export PROFFS_ENABLE=1
	for how in itself executed; do
		digs $how -m "$BATS_TEST_TMPDIR/tree-%p"
		digs $how -m "$BATS_TEST_TMPDIR/tree-%p" --dump-on-exit "$BATS_TEST_TMPDIR/dump-%p"
	done
}

# Main waits 100 ms for that and no longer, so nothing else shall hold our threads up.
@test "what libc maps for our threads is there before main" {
	local first=()
	export PROFFS_ENABLE=1
	[ "$(id -u)" -ne 0 ] || first=(nice -n -15)
	for _ in {1..8}; do
		is "$(outcome "${first[@]}" "$PROFFS" run -m "$TREE" -- "$TARGET/holes" arenas)" "0 more arenas
exit code: 0" || return 1
	done
}

# We wait for the loader's lock, which it has, and it for us: once, and not for each of its calls (16 s).
@test "a constructor that unmaps while we come is not held up again and again" {
	cat >unmaps.c <<-'EOF'
		#include <sys/mman.h>
		#include <unistd.h>
		__attribute__((constructor)) static void unmap(void)
		{
			for (int i = 0; i < 200; i++) {
				munmap(mmap(0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), 4096);
				usleep(1000);
			}
		}
	EOF
	cat >opens.c <<-'EOF'
		#include <dlfcn.h>
		#include <unistd.h>
		int main(void)
		{
			usleep(50000);
			return !dlopen("./unmaps.so", RTLD_NOW);
		}
	EOF
	${CC:-cc} -shared -fPIC -o unmaps.so unmaps.c
	${CC:-cc} -o opens opens.c -ldl
	is "$(timeout 10 "$PROFFS" run -m "$BATS_TEST_TMPDIR/tree-%p" -- sh -c './opens; echo $?' 2>>"$ERR" 3>&-)" 0
}

@test "a debugger comes and goes" {
	touch go
	LIFE_TREE=$TREE background "$PROFFS" run -m "$TREE" -- "$LIFE" waiting "$PWD/go"
	wait_until 20 says waiting
	has "$(timeout 60 gdb -p "$PID" -batch -ex bt 2>&1)" by_waiting
	tree_ready
	rm go
	STATUS=0
	wait "$PID" || STATUS=$?
	is "$STATUS" 9
	wait_until 5 nothing_left
}

@test "a thread of the program reads the tree while others work" { lives reading; }

@test "the main thread reads captures" { lives capture; }

@test "statfs and getcwd inside the tree" {
	WAYS="attached preloaded" lives inside
}

@test "a thousand forks of a threaded program that allocates" {
	is "$(outcome "$LIFE" forks 1000)" "$(watched attached "$LIFE" forks 1000)"
	wait_until 5 nothing_left
}

# ---- a tree for every process ----

trees_served() {
	local readme
	for readme in "$BATS_TEST_TMPDIR"/t-*/README; do
		[ ! -r "$readme" ] || echo "$readme"
	done | wc -l
}

@test "a prefork server: each of 64 children has a tree of its own, and list shows them" {
	touch go
	background "$PROFFS" run -m "$BATS_TEST_TMPDIR/t-%p" -- "$LIFE" prefork 64 "$PWD/go"
	all_there() { [ "$(trees_served)" -eq 65 ]; }
	wait_until 60 all_there
	is "$("$PROFFS" list | grep -c " $BATS_TEST_TMPDIR/t-")" 65
	for child in $(pgrep -P "$PID"); do
		is "$(tr '\0' '\n' <"$BATS_TEST_TMPDIR/t-$child/cmdline" | sed -n 2p)" prefork
		has "$(cat "$BATS_TEST_TMPDIR/t-$child/threads")" by_prefork
	done
	rm go
	STATUS=0
	wait "$PID" || STATUS=$?
	is "$STATUS" 0
	says "good: 64"
	wait_until 10 nothing_left
	no_directories() { [ -z "$(compgen -G "$BATS_TEST_TMPDIR/t-*")" ]; }
	wait_until 10 no_directories
}

@test "a process whose tree was unmounted goes on, and its children have trees" {
	touch go
	background "$PROFFS" run -m "$BATS_TEST_TMPDIR/t-%p" -- bash -c 'while [ -e go ]; do sleep 0.05; done; sleep 98; exit 3'
	own_there() { [ -r "$BATS_TEST_TMPDIR/t-$PID/README" ]; }
	wait_until 20 own_there
	umount -l "$BATS_TEST_TMPDIR/t-$PID" 2>/dev/null || fusermount3 -u -z "$BATS_TEST_TMPDIR/t-$PID"
	own_gone() { [ ! -e "$BATS_TEST_TMPDIR/t-$PID" ]; }
	wait_until 5 own_gone
	hasnt "$("$PROFFS" list)" "t-$PID"
	rm go
	child_there() { cat "$BATS_TEST_TMPDIR"/t-*/cmdline | grep -qaz '^98$'; }
	wait_until 20 child_there
	kill $(pgrep -P "$PID" sleep)
	STATUS=0
	wait "$PID" || STATUS=$?
	is "$STATUS" 3
	wait_until 5 nothing_left
}

@test "what a shell starts has a tree of its own, too" {
	background "$PROFFS" run -m "$BATS_TEST_TMPDIR/t-%p" -- bash -c 'sleep 98 & sleep 99; exit 3'
	both_there() { [ "$(cat "$BATS_TEST_TMPDIR"/t-*/cmdline | grep -cazE '^9[89]$')" -eq 2 ]; }
	wait_until 20 both_there
	kill $(pgrep -P "$PID" sleep)
	wait "$PID" || is $? 3
	wait_until 5 nothing_left
}

@test "forks with a tree for each: as many as without" {
	mkdir trees
	plain=$(outcome "$LIFE" forks 100)
	is "$(outcome "$PROFFS" run -m "$PWD/trees/%p" -- "$LIFE" forks 100)" "$plain"
	wait_until 10 nothing_left
}

# Our thread waits for a helper a fifth of a second late, and an exec comes as soon as the helper is dead.
# execs_over_a_dead_one HOW [OPTIONS] -- CMD...
execs_over_a_dead_one() {
	local how=$1 options=()
	shift
	while [ "$1" != -- ]; do
		options+=("$1")
		shift
	done
	cat >late.c <<-'EOF'
		#define _GNU_SOURCE
		#include <dlfcn.h>
		#include <sys/types.h>
		#include <sys/wait.h>
		#include <unistd.h>
		pid_t waitpid(pid_t pid, int *status, int how)
		{
			if (how & __WCLONE)
				usleep(200000);
			return ((pid_t (*)(pid_t, int *, int))dlsym(RTLD_NEXT, "waitpid"))(pid, status, how);
		}
	EOF
	cat >exec.c <<-'EOF'
		#define _GNU_SOURCE
		#include <string.h>
		#include <sys/syscall.h>
		#include <sys/wait.h>
		#include <unistd.h>
		extern char **environ;
		int main(int argc, char **argv)
		{
			siginfo_t dead = {.si_pid = 0};

			while (waitid(P_ALL, 0, &dead, WEXITED | WNOHANG | WNOWAIT | __WCLONE) < 0 || dead.si_pid == 0)
				usleep(100);
			write(1, "a dead one\n", 11);
			if (strcmp(argv[1], "execl") == 0)
				execl(argv[2], argv[2], argv[3], NULL);
			else if (strcmp(argv[1], "execvp") == 0)
				execvp(argv[2], argv + 2);
			else
				syscall(SYS_execve, argv[2], argv + 2, environ);
			return 1;
		}
	EOF
	${CC:-cc} -shared -fPIC -o late.so late.c
	${CC:-cc} -o exec exec.c
	echo "int pause(void); int main(void) { return pause(); }" >still.c
	${CC:-cc} -static -o still still.c
	background env LD_PRELOAD="$PWD/late.so" "$PROFFS" run "${options[@]}" -- ./exec "$how" "${@:2}"
	has_executed() { says "a dead one" && [ "$(readlink "/proc/$PID/exe")" != "$PWD/exec" ]; }
	wait_until 20 has_executed
}

dead_ones() { ps -o stat=,comm= --ppid "$PID" | grep '^Z' || true; }

@test "an exec that comes while a helper of ours is born leaves none behind" {
	for how in execl execvp; do
		execs_over_a_dead_one $how -m "$TREE" -- ./still 1
		is "$(dead_ones)" ""
		kill "$PID"
		execs_over_a_dead_one $how -m "$TREE" --cpuprofile --profiledir profiles -- ./still 1
		is "$(dead_ones)" ""
		kill "$PID"
	done
}

@test "what an exec of its own making leaves behind is waited for by the next of us, what is not ours is not" {
	execs_over_a_dead_one itself -m "$TREE" -- /bin/sleep 100
	wait_until 20 tree_ready
	is "$(dead_ones)" ""
	kill "$PID"
	wait_until 5 nothing_left
	cat >own.c <<-'EOF'
		#define _GNU_SOURCE
		#include <sched.h>
		#include <unistd.h>
		static char stack[65536];
		static int end(void *unused) { return 0; }
		int main(int argc, char **argv)
		{
			clone(end, stack + sizeof(stack), 0, 0);
			execv(argv[1], argv + 1);
			return 1;
		}
	EOF
	${CC:-cc} -o own own.c
	tree_start -- ./own /bin/sleep 100
	has "$(dead_ones)" own
}

# Helpers of ours that nobody waits for would be its children: it waits for all it has, once `status` says of so
# many of them that they are not there.
@test "who takes in orphans waits for its own children and for nobody else" {
	cat >takes.c <<-'EOF'
		#include <stdio.h>
		#include <stdlib.h>
		#include <string.h>
		#include <sys/prctl.h>
		#include <sys/wait.h>
		#include <unistd.h>
		int main(int argc, char **argv)
		{
			int count = 0, told = 0;
			char line[1000];

			prctl(PR_SET_CHILD_SUBREAPER, argc > 3);
			while (told != atoi(argv[2]) && usleep(1000) == 0) {
				FILE *status = fopen(argv[1], "r");

				for (told = 0; status && fgets(line, sizeof(line), status);)
					told += strstr(line, "takes in orphans") != NULL;
				if (status)
					fclose(status);
			}
			for (int i = 0; i < 3; i++)
				if (fork() == 0)
					_exit(0);
			while (wait(NULL) > 0)
				count++;
			printf("%d\n", count);
			return 0;
		}
	EOF
	${CC:-cc} -o takes takes.c
	mkdir profiles
	watch=("$PROFFS" run -m "$TREE")
	takes=(./takes "$TREE/status")
	is "$(timeout -k 1 20 "${watch[@]}" -- "${takes[@]}" 1 subreaper 2>>"$ERR" 3>&-)" 3
	watch+=(--cpuprofile --profiledir profiles) # who would write them is there before main()
	is "$(timeout -k 1 20 "${watch[@]}" -- "${takes[@]}" 1 subreaper 2>>"$ERR" 3>&-)" 3
	[ "$(id -u)" != 0 ] ||
		is "$(timeout -k 1 20 unshare -pfm --kill-child --mount-proc "${watch[@]}" -- "${takes[@]}" 2 2>>"$ERR" 3>&-)" 3
	background "${watch[@]}" -- sh -c 'exec sleep 100'
	wait_until 20 tree_ready
	has "$(cat "$TREE/status")" "reaper                       ok"
}
