#include "agent/early_malloc.h"
#include "base/mark.h"
#include "sampler/real.h"

#include <dlfcn.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

/* One that waits for what only main() brings. */
enum { PATIENCE_S = 1 };
enum { SMALL_BYTES = 24, LARGE_BYTES = 300000 };

__attribute__((noreturn)) static void end(int code)
{
	for (;;)
		syscall(SYS_exit_group, code);
}

static void on_fault(int signal)
{
	(void)signal;
	end(1);
}

/* No core, no line in the kernel's log, no handler of anybody's. */
static void expect_the_worst(void)
{
	static const int ends[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGALRM};
	struct itimerval patience = {.it_value.tv_sec = PATIENCE_S};
	struct sigaction action;
	sigset_t none;

	prctl(PR_SET_DUMPABLE, 0);
	memset(&action, 0, sizeof(action));
	action.sa_handler = on_fault;
	for (size_t i = 0; i < PF_COUNT(ends); i++)
		sigaction(ends[i], &action, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setitimer(ITIMER_REAL, &patience, NULL);
}

static bool holds(char *volatile at, size_t size)
{
	if (!at)
		return false;
	memset(at, 1, size);
	return at[size - 1] == 1;
}

/* As we would, and as libc would for us. */
static bool try(void)
{
	char *volatile small = malloc(SMALL_BYTES), *volatile zeros = calloc(1, LARGE_BYTES);
	bool works = holds(small, SMALL_BYTES) && holds(zeros, LARGE_BYTES);

	if (!works)
		return false;
	small = realloc(small, LARGE_BYTES);
	works = holds(small, LARGE_BYTES);
	free(small);
	free(zeros);
	works = works && !dlsym(RTLD_DEFAULT, "proffs: no such function");
	dlerror();
	return works;
}

/* As fork(), without what others have asked to be called at one; and the program hears of no child. */
static pid_t copy_process(void)
{
	return (pid_t)syscall(SYS_clone, (long)CLONE_UNTRACED, 0l, 0l, 0l, 0l);
}

bool pf_early_malloc_works(void)
{
	int status = 0;
	pid_t pid;

	if (!pf_real_is_executables((void *)(uintptr_t)malloc))
		return true;
	pid = copy_process();
	if (pid == 0) {
		expect_the_worst();
		end(try() ? 0 : 1);
	}
	if (pid < 0)
		return true;
	while (waitpid(pid, &status, __WALL) < 0)
		if (errno != EINTR)
			return true;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}
