/* Where the threads of a target stand, as the kernel says it: so that "ready" is true when it is printed,
 * on a machine that stops any thread at any moment, too. For C and C++. */
#pragma once
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static inline void task_nap(void)
{
	struct timespec t = {0, 1000000};

	nanosleep(&t, NULL);
}

/* The letter that the kernel has for what it does. */
static inline char task_state(pid_t tid)
{
	char path[64], text[512];
	const char *state;
	ssize_t length;
	int fd;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", (int)tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		abort();
	length = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (length <= 0)
		abort();
	text[length] = '\0';
	state = strrchr(text, ')');
	return state && state[1] == ' ' ? state[2] : '?';
}

/* Does it sleep? What it sleeps in is the caller's to know: its last step must be the only one. */
static inline int task_sleeps(pid_t tid)
{
	return task_state(tid) == 'S';
}

/* *tid: what a thread stores (release) right before its last step. */
static inline void task_wait_asleep(const pid_t *tid)
{
	pid_t t;

	while ((t = __atomic_load_n(tid, __ATOMIC_ACQUIRE)) == 0 || !task_sleeps(t))
		task_nap();
}

static inline void task_says(pid_t *tid)
{
	__atomic_store_n(tid, (pid_t)syscall(SYS_gettid), __ATOMIC_RELEASE);
}

/* A thread that was joined may still be in /proc for a moment. */
static inline void task_wait_gone(pid_t tid)
{
	while (syscall(SYS_tgkill, getpid(), tid, 0) == 0 || errno != ESRCH)
		task_nap();
}
