# Programs of all kinds give the answers they give without us, sampled as hard as we can: every
# block, 4000 Hz, and somebody reading heap and threads all the time.
load ../helper

# same CMD...: standard output and exit code with and without us. A program that begins by waiting for the
# file $SEEN goes on when its tree has been read.
same() {
	local plain_status=0
	SEEN=/ "$@" <"${INPUT:-/dev/null}" >plain 2>plain.err 3>&- || plain_status=$?
	SEEN=seen "$PROFFS" run -m "$TREE" --set heap_sample_bytes=1 --set cpu/hz=4000 -- "$@" \
		<"${INPUT:-/dev/null}" >"$OUT" 2>"$ERR" 3>&- &
	PID=$!
	STARTED+=("$PID")
	while kill -0 "$PID" 2>/dev/null; do
		cat "$TREE/heap" "$TREE/threads.folded" "$TREE/allocs.pprof" >read 2>/dev/null || true
		[ ! -s read ] || mv read seen
	done
	STATUS=0
	wait "$PID" || STATUS=$?
	is "$STATUS" "$plain_status"
	cmp plain "$OUT"
}

@test "python: threads, children, signals, sockets, exceptions" {
	cat >program.py <<-'END'
		import concurrent.futures, hashlib, multiprocessing, os, signal, socket, subprocess, threading, time

		while not os.path.exists(os.environ['SEEN']):
		    time.sleep(0.05)
		def digest(n):
		    data = bytes(n % 256 for n in range(1000)) * 300
		    for _ in range(5):
		        data = hashlib.sha256(data + bytes([n % 256])).digest() * 5000
		    return hashlib.md5(data).hexdigest()

		with concurrent.futures.ThreadPoolExecutor(8) as pool:
		    print(list(pool.map(digest, range(40))))
		with multiprocessing.Pool(2) as pool:
		    print(pool.map(digest, range(4)))
		print(subprocess.run(['sh', '-c', 'cat; exit 3'], input=b'text', capture_output=True))
		caught = []
		signal.signal(signal.SIGALRM, lambda *_: caught.append(1))
		signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
		while len(caught) < 20:
		    time.sleep(0.005)
		signal.setitimer(signal.ITIMER_REAL, 0)
		a, b = socket.socketpair()
		sender = threading.Thread(target=lambda: (a.sendall(b'x' * 5000000), a.close()))
		sender.start()
		got = 0
		while part := b.recv(65536):
		    got += len(part)
		print(got)
		def deep(n):
		    return deep(n - 1) if n else 1 // 0
		try:
		    deep(500)
		except ZeroDivisionError as error:
		    print(repr(error))
		print([os.waitpid(os.spawnlp(os.P_NOWAIT, 'sh', 'sh', '-c', f'exit {n}'), 0)[1] for n in range(5)])
		raise SystemExit(9)
	END
	same python3 program.py
	is "$STATUS" 9
}

@test "perl: forks, pipes and signals" {
	cat >program.pl <<-'END'
		use strict; my $sum = 0; my $caught = 0;
		select(undef, undef, undef, 0.05) until -e $ENV{SEEN};
		$SIG{USR1} = sub { $caught++ };
		for my $n (1..30) {
			pipe(my $read, my $write) or die;
			my $pid = fork();
			if (!$pid) { close $read; kill 'USR1', getppid(); print $write $n * $n; exit $n }
			close $write; local $/; my $text = <$read>; $sum += $text;
			waitpid($pid, 0); $sum += $? >> 8;
		}
		my %h; $h{$_ % 977} .= chr(65 + $_ % 26) for 1..4000000;
		my $text = join '', map { $h{$_} } sort { $a <=> $b } keys %h;
		print "$sum ", ($caught > 0), " ", unpack('%32C*', $text), "\n";
		exit 4;
	END
	same perl program.pl
	is "$STATUS" 4
}

@test "sqlite3: the same rows" {
	cat >work.sql <<-'END'
		.shell until [ -e "$SEEN" ]; do sleep 0.05; done
		CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT);
		WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500000)
			INSERT INTO t SELECT i, printf('%08d', (i * 7919) % 100003) FROM n;
		CREATE INDEX tb ON t(b);
		SELECT count(*), min(b), max(b), sum(a) FROM t WHERE b LIKE '%7%';
		SELECT substr(b, 1, 5), count(*) FROM t GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 10;
		SELECT nonsense FROM t;
	END
	INPUT=work.sql same sqlite3
	is "$STATUS" 1
}

@test "a compiler and what it starts: the same object code" {
	for i in {1..400}; do
		echo "int f$i(int x, char *p) { int s = 0; for (int i = 0; i < x; i++) s += p[i] * $i + i % ($i + 3); return s; }"
	done >source.c
	same clang -O2 -S -o - source.c
	same gcc -O2 -S -o - source.c
}

@test "xz and sort on two threads: the same bytes" {
	seq 1 400000 | awk '{print ($1 * 7919) % 1000003, $1}' >numbers
	same xz -T2 -3 --block-size=500000 --stdout numbers
	same sort --parallel=2 -S 2M -k1,1n numbers
}

@test "bash: jobs, pipelines, here documents" {
	cat >program.sh <<-'END'
		until [ -e "$SEEN" ]; do sleep 0.05; done
		f() { local n=$1; ((n < 2)) && echo 1 || echo $(($(f $((n - 1))) + 1)); }
		for i in 1 2 3 4; do (sleep 0.0$i; exit "$i") & pids+=($!); done
		for p in "${pids[@]}"; do wait "$p"; echo "$?"; done
		f 25
		seq 100000 | sort -r | tail -n 3 | while read -r x; do echo "<$x>"; done
		cat <<-X | wc -c
			$(printf '%s\n' {1..2000})
		X
		trap 'echo bye' EXIT
		kill -TERM $BASHPID
	END
	same bash program.sh
	is "$STATUS" 143
}

# haproxy does that before it ends, daemons do when they begin; our next sample was their end.
@test "a program that gives every signal back to the default, or ignores them all, lives on" {
	cat >program.py <<-'END'
		import signal, time
		free = [n for n in range(signal.SIGRTMIN, signal.SIGRTMAX + 1)]
		def work():
		    end = time.process_time() + 0.5
		    while time.process_time() < end: pass
		work()
		for action in signal.SIG_DFL, signal.SIG_IGN, signal.SIG_DFL:
		    for n in free: signal.signal(n, action)
		    work()
		    print([signal.signal(n, action) == action for n in free])
	END
	same python3 program.py
	is "$STATUS" 0
}

# qemu does: a sample was then a deadly signal of the program that it runs.
@test "a program that takes every real-time signal for itself gets its own, each once, and none of ours" {
	touch go-on
	"$TARGET/taker" >plain || is "$?" 7
	rm go-on
	tree_start --set cpu/hz=1000 -- "$TARGET/taker"
	wait_until 20 has_samples 10
	touch go-on
	STATUS=0
	wait "$PID" || STATUS=$?
	is "$STATUS" 7
	cmp plain "$OUT"
	is "$(grep -c 'wrong 0' "$OUT")" 3
	has "$(cat "$OUT")" 'unasked 0'
}

# Its loader takes us for a library like any other, and would end it where a name is missing that only
# glibc has.
@test "a child that is built for musl runs as it does" {
	cat >child.c <<-'END'
		#include <stdio.h>
		#include <stdlib.h>
		int main(void) { puts("from musl"); fflush(stdout); return (system("echo from its child; exit 3") >> 8) + 4; }
	END
	musl-gcc -o child child.c
	same sh -c './child; echo $?; exit 5'
	is "$STATUS" 5
	is "$(tail -n 1 "$OUT")" 7
	is "$(cat "$ERR")" "proffs: $TREE"
}

# stress-ng does: each of our looks at the clock was then the program's end.
@test "a thread that may not read the processor's clock is sampled without it, and lives" {
	for how in prctl syscall; do
		run --separate-stderr "$PROFFS" run --set cpu/hz=1000 --set enable=1 --set block_kinds=sync,io,sleep \
			-m "$TREE" --dump-on-exit dump -- "$TARGET/clockless" $([ "$how" = prctl ] || echo "$how")
		is "$status" 0
		is "$output" fine
		[ "$(awk '$1 == "cpu_samples" {print $2}' dump/status)" -gt 50 ]
		[ "$(awk '$1 == "wait_lost_clock" {print $2}' dump/status)" -gt 0 ]
		rm -r dump
	done
}

# libfaketime does. The kernel's waits go by its own clock: our threads, and its end, waited for years.
@test "a program whose clock is moved by a library in front of libc ends when it does without us" {
	cat >moved.c <<-'END'
		#include <sys/syscall.h>
		#include <time.h>
		#include <unistd.h>
		int clock_gettime(clockid_t clock, struct timespec *t)
		{
			long rc = syscall(SYS_clock_gettime, clock, t);
			t->tv_sec += 1000000000;
			return (int)rc;
		}
	END
	gcc -shared -fPIC -o moved.so moved.c
	for each in "" "-%p"; do
		run --separate-stderr timeout 60 "$PROFFS" run -m "$TREE$each" --set cpu/hz=1000 --set enable=1 --dump-on-exit "dump$each" -- \
			env LD_PRELOAD="$PWD/moved.so:$BUILD/libproffs.so" bash -c 'for ((i = 0; i < 600000; i++)); do :; done; date +%Y; exit 3'
		is "$status" 3
		[ "$output" -gt 2050 ]
		[ "$(cat dump*/status | awk '$1 == "cpu_samples" {n += $2} END {print n}')" -gt 50 ]
		rm -r dump*
	done
}
