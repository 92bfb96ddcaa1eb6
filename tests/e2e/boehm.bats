# A program with Boehm's collector is collected by `echo 1 > gc`, and has no line of code for it.
load ../helper

# What each program has: garbage of 100 MB, a list of 20,000 that is in use, and what it says of both. `work`
# is its own part.
collected() {
	cat >common.h <<-'EOF'
		#include <gc.h>
		#include <pthread.h>
		#include <signal.h>
		#include <stdio.h>
		#include <stdlib.h>
		#include <string.h>
		#include <sys/wait.h>
		#include <unistd.h>
		struct link { struct link *next; long number; char room[496]; };
		static struct link *kept;
		static void __attribute__((noinline)) fill(void)
		{
			static void *dropped[200]; /* no list: a word that looks like one of these keeps one */
			for (int i = 0; i < 200; i++)
				dropped[i] = GC_MALLOC(500000);
			memset(dropped, 0, sizeof(dropped));
			for (int i = 0; i < 20000; i++) {
				struct link *l = GC_MALLOC(sizeof(*l));
				*l = (struct link){.next = kept, .number = i};
				kept = l;
			}
		}
		static void __attribute__((noinline)) wipe(void)
		{
			volatile char below[65536];
			memset((char *)below, 0, sizeof(below));
		}
		static void check(void)
		{
			long number = 20000;
			for (struct link *l = kept; l; l = l->next)
				if (l->number != --number)
					abort();
			if (number != 0)
				abort();
		}
		static int there(const char *name) { return access(name, F_OK) == 0; }
		static void until(const char *name) { while (!there(name)) usleep(10000); }
		static void say(const char *text) { printf("%s\n", text); fflush(stdout); }
	EOF
	cat >program.c
	${CC:-cc} -O1 -o program program.c -lgc -lpthread
	tree_start -- ./program
	wait_until 20 says ready
}

# The heap in use, before and after, in KiB, as the file says.
in_use() {
	sed -nE "s/.*Boehm's heap ([0-9]+) KiB with ([0-9]+) KiB free before, ([0-9]+) KiB with ([0-9]+) KiB free after.*/\1 \2 \3 \4/p" "$TREE/gc" |
		awk '{print $1 - $2, $3 - $4}'
}

write_gc() { echo 1 >"$TREE/gc"; }

is_collected() {
	local before after
	has "$(cat "$TREE/gc")" "asked Boehm's collector"
	read -r before after < <(in_use)
	((before > 90000 && after > 9000 && after < 40000)) || { cat "$TREE/gc"; return 1; }
}

collects() {
	write_gc
	is_collected
}

ends_well() {
	touch end
	STATUS=0
	wait "$PID" || STATUS=$?
	is "$STATUS" 7
	says intact
}

@test "one thread, which has allowed others" {
	collected <<-'EOF'
		#define GC_THREADS
		#include "common.h"
		int main(void)
		{
			GC_INIT();
			GC_allow_register_threads();
			fill();
			wipe();
			say("ready");
			until("end");
			check();
			fill(); /* it goes on as ever */
			GC_gcollect();
			say("intact");
			return 7;
		}
	EOF
	collects
	for i in 1 2 3 4 5; do echo 1 >"$TREE/gc"; done
	echo 1 >"$TREE/free_os_memory"
	hasnt "$(cat "$TREE/gc")" Boehm
	ends_well
}

@test "one thread that never heard of a second one is left alone, and it is said" {
	collected <<-'EOF'
		#include "common.h"
		#include <dirent.h>
		#include <sys/epoll.h>
		static void refuse(const char *why) { say(why); _exit(8); }
		static int markers(void)
		{
			int n = 0;
			DIR *d = opendir("/proc/self/task");
			for (struct dirent *e = readdir(d); e; e = readdir(d)) {
				char path[300], name[64] = "";
				snprintf(path, sizeof(path), "/proc/self/task/%s/comm", e->d_name);
				FILE *f = fopen(path, "r");
				if (f && fgets(name, sizeof(name), f))
					n += strncmp(name, "GC-marker", 9) == 0;
				if (f)
					fclose(f);
			}
			closedir(d);
			return n;
		}
		int main(void)
		{
			struct epoll_event event;
			int e = epoll_create1(0);
			GC_INIT();
			GC_set_abort_func(refuse);
			fill();
			wipe();
			int before = markers();
			say("ready");
			while (!there("end"))
				if (epoll_wait(e, &event, 1, 300) != 0)
					return 1;
			check();
			if (GC_get_abort_func() != refuse || markers() != before)
				return 2;
			say("intact");
			return 7;
		}
	EOF
	for i in 1 2 3; do
		echo 1 >"$TREE/gc"
		has "$(cat "$TREE/gc")" "Boehm's collector was not asked: it has only ever had one thread here"
		has "$(cat "$TREE/gc")" "; asked glibc"
	done
	ends_well
}

@test "threads that allocate while it is collected, and fork children that do" {
	collected <<-'EOF'
		#define GC_THREADS
		#include "common.h"
		static int end;
		static void *work(void *unused)
		{
			for (long i = 0; !__atomic_load_n(&end, __ATOMIC_RELAXED); i++) {
				struct link *l = GC_MALLOC(sizeof(*l) + i % 100);
				l->next = l;
				if (i % 100 == 0)
					usleep(1000);
			}
			return NULL;
		}
		int main(void)
		{
			pthread_t threads[3];
			GC_INIT();
			GC_allow_register_threads();
			fill();
			wipe();
			say("ready");
			until("begin");
			for (int i = 0; i < 3; i++)
				pthread_create(&threads[i], NULL, work, NULL);
			while (!there("end")) {
				int status = 1;
				pid_t pid = fork();
				if (pid == 0) {
					GC_disable();
					_exit(GC_MALLOC(100) ? 0 : 1);
				}
				if (waitpid(pid, &status, 0) != pid || status != 0)
					abort();
				usleep(5000);
			}
			__atomic_store_n(&end, 1, __ATOMIC_RELAXED);
			for (int i = 0; i < 3; i++)
				pthread_join(threads[i], NULL);
			check();
			say("intact");
			return 7;
		}
	EOF
	collects
	touch begin
	for ((i = 0; i < 8; i++)); do
		echo 1 >"$TREE/gc"
		has "$(cat "$TREE/gc")" "asked Boehm's collector"
	done
	ends_well
}

@test "a fork in the middle of a collection ends it before it takes the collector's lock" {
	collected <<-'EOF'
		#define GC_THREADS
		#include "common.h"
		static pthread_t first;
		static int collecting, forking, met;
		static void event(GC_EventType type) /* called with the collector's lock held */
		{
			if (type != GC_EVENT_START || pthread_equal(pthread_self(), first))
				return;
			__atomic_store_n(&collecting, 1, __ATOMIC_SEQ_CST);
			for (int i = 0; i < 500 && !__atomic_load_n(&forking, __ATOMIC_SEQ_CST); i++)
				usleep(1000);
			usleep(50000);
			__atomic_store_n(&collecting, 0, __ATOMIC_SEQ_CST);
		}
		/* Registered after the collector's: it runs before that takes the lock. */
		static void before_fork(void)
		{
			met += __atomic_load_n(&collecting, __ATOMIC_SEQ_CST);
		}
		int main(void)
		{
			int status = 1, forks = 0;
			first = pthread_self();
			GC_INIT();
			GC_allow_register_threads();
			GC_set_on_collection_event(event);
			fill();
			wipe();
			pthread_atfork(before_fork, NULL, NULL);
			say("ready");
			while (!there("end")) {
				if (!__atomic_load_n(&collecting, __ATOMIC_SEQ_CST)) {
					usleep(100);
					continue;
				}
				__atomic_store_n(&forking, 1, __ATOMIC_SEQ_CST);
				forks++;
				pid_t pid = fork();
				if (pid == 0)
					_exit(GC_MALLOC(100) ? 0 : 1);
				if (waitpid(pid, &status, 0) != pid || status != 0)
					abort();
				__atomic_store_n(&forking, 0, __ATOMIC_SEQ_CST);
			}
			check();
			printf("forks %d, met %d\n", forks, met);
			if (forks == 0 || met != 0)
				return 1;
			say("intact");
			return 7;
		}
	EOF
	collects
	write_gc
	has "$(cat "$TREE/gc")" "asked Boehm's collector"
	ends_well
}

@test "a lock that is held for ever holds neither the writer nor the program's end" {
	collected <<-'EOF'
		#define GC_THREADS
		#include "common.h"
		static void *hold(void *unused)
		{
			say("held");
			until("free");
			return unused;
		}
		static void *work(void *unused) { return GC_MALLOC(100); }
		int main(void)
		{
			pthread_t thread;
			GC_INIT();
			fill();
			wipe();
			pthread_create(&thread, NULL, work, NULL);
			pthread_join(thread, NULL);
			say("ready");
			until("hold");
			GC_call_with_alloc_lock(hold, NULL);
			until("end");
			check();
			say("intact");
			return 7;
		}
	EOF
	touch hold
	wait_until 20 says held
	python3 -c '
import os, signal, sys
def enough(*_): raise SystemExit(3)
f = os.open(sys.argv[1], os.O_WRONLY)
signal.signal(signal.SIGALRM, enough)
signal.setitimer(signal.ITIMER_REAL, 0.3)
os.write(f, b"1")' "$TREE/gc" || is $? 3
	has "$(cat "$TREE/gc")" "not asked: it was interrupted"
	run bash -c "echo 1 >'$TREE/gc'"
	has "$output" "resource busy"
	touch free
	wait_until 20 write_gc
	is_collected
	ends_well
}

@test "finalizers are left to the program's own threads" {
	collected <<-'EOF'
		#define GC_THREADS
		#include "common.h"
		static pthread_t ran;
		static int runs;
		static void last(void *object, void *unused)
		{
			ran = pthread_self();
			runs++;
		}
		static void __attribute__((noinline)) make(void)
		{
			for (int i = 0; i < 100; i++)
				GC_REGISTER_FINALIZER(GC_MALLOC(64), last, NULL, NULL, NULL);
		}
		int main(void)
		{
			GC_INIT();
			GC_allow_register_threads();
			fill();
			make();
			wipe();
			say("ready");
			until("end");
			if (runs != 0)
				return 1;
			GC_gcollect();
			if (runs < 50 || !pthread_equal(ran, pthread_self()))
				return 2;
			check();
			say("intact");
			return 7;
		}
	EOF
	collects
	ends_well
}

@test "a collector that is switched off is left alone" {
	collected <<-'EOF'
		#include "common.h"
		int main(void)
		{
			GC_INIT();
			fill();
			GC_disable();
			say("ready");
			until("end");
			check();
			say("intact");
			return 7;
		}
	EOF
	echo 1 >"$TREE/gc"
	has "$(cat "$TREE/gc")" "Boehm's collector was not asked: the program has switched it off; asked glibc"
	ends_well
}
