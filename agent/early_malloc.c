#include "agent/early_malloc.h"
#include "base/mark.h"
#include "sampler/real.h"

#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* One that waits for what only main() brings: so long for the whole. */
enum { PATIENCE_MS = 1000, LOOK_NS = 1000000 };
enum { SMALL_BYTES = 24, LARGE_BYTES = 300000 };
/* How the copy ends. Whatever else ends it (a tracer, a filter, want of memory) says nothing. */
enum { WORKS, DOES_NOT };

/* A filter may not let us end in the one way, or in none. */
static void end(int code)
{
	syscall(SYS_exit_group, code);
	syscall(SYS_exit, code);
	syscall(SYS_tgkill, syscall(SYS_getpid), syscall(SYS_gettid), SIGKILL);
	__builtin_trap();
}

static void on_fault(int signal)
{
	(void)signal;
	end(DOES_NOT);
}

/* No core, no line in the kernel's log, no handler of anybody's; and it does not outlive us. */
static void expect_the_worst(void)
{
	static const int ends[] = {SIGSEGV, SIGBUS, SIGABRT};
	struct sigaction action;
	sigset_t none;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_DUMPABLE, 0);
	memset(&action, 0, sizeof(action));
	action.sa_handler = on_fault;
	for (size_t i = 0; i < PF_COUNT(ends); i++)
		sigaction(ends[i], &action, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
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

/* As fork(), without what others have asked to be called at one; and the program hears of no child. A
 * debugger does: it takes its breakpoints out of the copy. */
static pid_t copy_process(void)
{
	return (pid_t)syscall(SYS_clone, 0l, 0l, 0l, 0l, 0l);
}

/* False: it has not ended, and was made to. */
static bool await(pid_t pid, int *status)
{
	static const struct timespec moment = {0, LOOK_NS / 10};
	pid_t ended = 0;

	for (int looks = 0; looks < PATIENCE_MS * 10 && ended == 0; looks++) {
		ended = waitpid(pid, status, __WALL | WNOHANG);
		if (ended == 0)
			nanosleep(&moment, NULL);
		else if (ended < 0 && errno == EINTR)
			ended = 0;
	}
	if (ended != 0)
		return ended > 0;
	kill(pid, SIGKILL);
	while (waitpid(pid, status, __WALL) < 0 && errno == EINTR)
		;
	return false;
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
		end(try() ? WORKS : DOES_NOT);
	}
	if (pid < 0)
		return true;
	return await(pid, &status) && !(WIFEXITED(status) && WEXITSTATUS(status) == DOES_NOT) &&
	       !(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
}
