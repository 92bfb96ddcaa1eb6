/* N threads (argument), all asleep in poll() about 20 frames deep; prints "ready". When a byte comes
 * on stdin it prints "EINTR n switches m" (counted since "ready": EINTRs that the sleepers saw, and
 * their voluntary context switches) and ends. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int arrived;      /* atomic */
static long interrupted; /* atomic */
static int over;         /* atomic; never set: the sleepers end with the process */
static pid_t *tids;

static __attribute__((noinline)) void rest(unsigned depth)
{
	if (depth > 0) {
		rest(depth - 1);
		__asm__ volatile("");
		return;
	}
	__atomic_fetch_add(&arrived, 1, __ATOMIC_RELEASE);
	while (!__atomic_load_n(&over, __ATOMIC_ACQUIRE))
		if (poll(NULL, 0, -1) < 0 && errno == EINTR)
			__atomic_fetch_add(&interrupted, 1, __ATOMIC_RELAXED);
}

static void *sleeper(void *arg)
{
	tids[(uintptr_t)arg] = (pid_t)syscall(SYS_gettid);
	rest(17);
	return NULL;
}

static long switches(pid_t tid)
{
	char path[64], line[256];
	long count = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/task/%d/status", (int)tid);
	file = fopen(path, "r");
	while (file && fgets(line, sizeof(line), file))
		if (strncmp(line, "voluntary_ctxt_switches:", 24) == 0)
			count = atol(line + 24);
	if (file)
		fclose(file);
	return count;
}

int main(int argc, char **argv)
{
	int n = argc > 1 ? atoi(argv[1]) : 1000;
	long before = 0, after = 0;
	pthread_attr_t attr;
	char byte;

	tids = calloc((size_t)n, sizeof(*tids));
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 256 * 1024);
	for (int i = 0; i < n; i++) {
		pthread_t thread;

		if (!tids || pthread_create(&thread, &attr, sleeper, (void *)(uintptr_t)i) != 0)
			return 1;
	}
	while (__atomic_load_n(&arrived, __ATOMIC_ACQUIRE) < n)
		usleep(1000);
	usleep(300000); /* the last ones are asleep by now */
	for (int i = 0; i < n; i++)
		before += switches(tids[i]);
	puts("ready");
	fflush(stdout);
	if (read(STDIN_FILENO, &byte, 1) < 0)
		return 1;
	for (int i = 0; i < n; i++)
		after += switches(tids[i]);
	printf("EINTR %ld switches %ld\n", interrupted, after - before);
	return 0;
}
