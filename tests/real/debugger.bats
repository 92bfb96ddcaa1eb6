# Under valgrind and under gdb, with us inside: the program is as it is without us, and its profiles name it.
load real

program() {
	cat >program.cc <<-'END'
		#include <pthread.h>
		#include <semaphore.h>
		#include <signal.h>
		#include <stdio.h>
		#include <stdlib.h>
		#include <string.h>
		static int answers[4];
		static int stop_here(int n) { return n * 2; }
		static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
		static pthread_rwlock_t shared = PTHREAD_RWLOCK_INITIALIZER;
		static sem_t turn;
		static int thrown;
		static void *work(void *arg) {
			int n = *(int *)arg;
			for (int i = 0; i < 20000; i++) { char *p = (char *)malloc(i % 500 + 1); memset(p, n, i % 500 + 1); answers[n] += p[0]; free(p); }
			for (int i = 0; i < 200; i++) {
				char *p = (char *)realloc(calloc(i + 1, 7), i * 9 + 1);
				pthread_mutex_lock(&lock); thrown++; pthread_mutex_unlock(&lock);
				pthread_rwlock_rdlock(&shared); pthread_rwlock_unlock(&shared);
				sem_wait(&turn); sem_post(&turn);
				try { throw i; } catch (int caught) { if (caught != i) abort(); }
				free(p);
			}
			return NULL;
		}
		int main(void) {
			pthread_t threads[4]; int numbers[4] = {0, 1, 2, 3};
			sem_init(&turn, 0, 1);
			for (int i = 0; i < 4; i++) pthread_create(&threads[i], NULL, work, &numbers[i]);
			for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
			printf("%d %d %d %d %d %d\n", answers[0], answers[1], answers[2], answers[3], thrown, stop_here(21));
			return 6;
		}
	END
	g++ -O0 -g -pthread -o program program.cc
}

profiles_name_it() {
	names dump/allocs.folded work start_thread
	names dump/threadcreate.folded main
	is "$(awk '{count += $NF} END {print count}' dump/threadcreate.folded)" 4
	names dump/exceptions.folded work
	is "$(awk '{count += $NF} END {print count}' dump/exceptions.folded)" 800
}

@test "gdb: breakpoints, backtraces and a clean end, with the sampling signal passing through" {
	program
	cat >commands <<-'END'
		set pagination off
		set confirm off
		set style enabled off
		break stop_here
		run >answer
		backtrace
		print n
		finish
		continue
	END
	# Where both write to one file, the program's line may end up behind half a line of gdb's.
	plain gdb -batch -nx -x commands ./program
	mv answer plain.answer
	STATUS=0
	gdb -batch -nx -ex "set exec-wrapper $PROFFS run ${FAST[*]} -m $TREE --dump-on-exit dump --" \
		-ex 'handle SIG34 SIG35 SIG36 SIG63 SIG64 nostop noprint pass' \
		-x commands ./program </dev/null >"$OUT" 2>"$ERR" 3>&- || STATUS=$?
	is "$STATUS" "$PLAIN_STATUS"
	# What gdb says of the program itself; of threads it tells ours too.
	said() { grep -E '^(#[0-9]|\$1 =|Value returned|.*exited with code|Run till)' "$1" | sed 's/0x[0-9a-f]*/ADDRESS/g; s/process [0-9]*/process/; s/Thread ADDRESS (LWP [0-9]*)/Thread/'; }
	is "$(said "$OUT")" "$(said plain.out)"
	is "$(cat answer)" "$(cat plain.answer)"
	is "$(cat answer)" '0 20000 40000 60000 800 42'
	has "$(said "$OUT")" 'exited with code 06'
	profiles_name_it
	wait_until 5 no_mount_left
}

@test "valgrind: but for one that doc/valgrind.supp names, no error that is not there without us" {
	program
	plain valgrind -q --error-exitcode=99 ./program
	is "$PLAIN_STATUS" 6
	# It does not know the system calls that mount (fsopen), so there is no tree; and it is a static program
	# itself: what `proffs run` does, by hand. Errors begin with ==, what valgrind cannot do with --.
	NOISE='^--[0-9]+--'
	STATUS=0
	PROFFS_MOUNT=none PROFFS_DUMP_ON_EXIT=$PWD/dump PROFFS_HEAP_SAMPLE_BYTES=16384 \
		sh -c 'export PROFFS_RUN=$$ LD_PRELOAD=$0/libproffs.so; exec "$@"' "$BUILD" \
		valgrind -q --error-exitcode=99 --suppressions="$SOURCE/doc/valgrind.supp" ./program \
		</dev/null >"$OUT" 2>"$ERR" 3>&- || STATUS=$?
	cat "$ERR"
	agrees
	profiles_name_it
}
