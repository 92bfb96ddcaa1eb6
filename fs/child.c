#include "fs/child.h"
#include "base/birth.h"
#include "base/forbid.h"
#include "base/place.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { STACK_BYTES = 64 * 1024 };

/* Frames that an exec leaves behind would stay poisoned in AddressSanitizer's books. */
#define ON_BORROWED_STACK __attribute__((no_sanitize_address))

/* One flight, in memory that all three share: each waits until the next has execed or ended. */
struct flight {
	const struct pf_command *command;
	char *inner_stack_top;
	int error;  /* -errno of whatever failed */
	int status; /* as waitpid says */
};

/* Signals as a new program expects them. The dispositions are the child's own copy. */
ON_BORROWED_STACK static void reset_signals(void)
{
	struct sigaction standard = {.sa_handler = SIG_DFL};

	for (int sig = 1; sig < NSIG; sig++)
		sigaction(sig, &standard, NULL); /* fails for KILL, STOP and libc's own */
}

/* First out of each other's way, as low as can be: the program's limit (RLIMIT_NOFILE) is ours. */
ON_BORROWED_STACK static int place_fds(const struct pf_command *command)
{
	int moved[PF_CHILD_FDS_MAX];
	unsigned end = PF_CHILD_FIRST_FD + (unsigned)command->fd_count;

	if (command->said && dup2(command->said, STDERR_FILENO) < 0)
		return -errno;
	for (size_t i = 0; i < command->fd_count; i++) {
		moved[i] = fcntl(command->fds[i], F_DUPFD, (int)end);
		if (moved[i] < 0)
			return -errno;
	}
	for (size_t i = 0; i < command->fd_count; i++)
		if (dup2(moved[i], PF_CHILD_FIRST_FD + (int)i) < 0)
			return -errno;
	syscall(SYS_close_range, end, ~0u, 0);
	return 0;
}

/* The command, until it execs. */
ON_BORROWED_STACK static int become_command(void *arg)
{
	struct flight *flight = arg;
	const struct pf_command *command = flight->command;
	sigset_t none;
	int rc = 0;

	if (command->directory >= 0 ? fchdir(command->directory) : chdir("/"))
		rc = -errno;
	if (rc == 0)
		rc = place_fds(command);
	if (command->detach)
		setsid();
	if (command->dies_with_us)
		prctl(PR_SET_PDEATHSIG, SIGKILL); /* the parent is the go-between */
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	for (size_t i = 0; rc == 0 && command->paths[i]; i++) {
		execve(
		    command->paths[i], (char *const *)command->argv, (char *const *)command->envp);
		flight->error = -errno;
	}
	flight->error = rc ? rc : flight->error;
	_exit(127);
}

/* The go-between: it does not exec, it only has a child. */
ON_BORROWED_STACK static int go_between(void *arg)
{
	struct flight *flight = arg;
	bool detach = flight->command->detach && flight->error == 0;
	pid_t pid;

	reset_signals();
	/* It holds our memory, so it must not outlive us either: our thread waits for it to end. */
	if (flight->command->dies_with_us)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	pid = clone(become_command, flight->inner_stack_top, CLONE_VM | CLONE_VFORK, flight);
	if (pid < 0)
		flight->error = -errno;
	else
		while (waitpid(pid, &flight->status, __WALL | (detach ? WNOHANG : 0)) < 0 &&
		       errno == EINTR)
			;
	_exit(0);
}

static int outcome_of(const struct flight *flight)
{
	if (flight->error)
		return flight->error;
	if (WIFSIGNALED(flight->status))
		return 128 + WTERMSIG(flight->status);
	return WEXITSTATUS(flight->status);
}

static int fly(struct flight *flight, char *stack_top)
{
	int flags =
	    CLONE_VM | CLONE_VFORK | CLONE_UNTRACED; /* who traces the program is not told */
	pid_t *place = NULL;
	pid_t pid;
	int rc = 0;

	pf_birth_begin();
	/* A filter that forbids it waits for births under way, and comes before this one or after. */
	if (pf_is_forbidden(PF_FORBIDDEN_SPAWN)) {
		pf_birth_end();
		return -EPERM;
	}
	if (flight->command->dies_with_us && (place = pf_birth_claim()))
		flags |= CLONE_PARENT_SETTID;
	pid = clone(go_between, stack_top, flags, flight, place);
	if (pid < 0)
		rc = -errno;
	if (place)
		pf_birth_give_back(place);
	while (pid > 0 && waitpid(pid, NULL, __WCLONE) < 0 && errno == EINTR)
		;
	pf_birth_end();
	return rc;
}

int pf_child_run(const struct pf_command *command)
{
	struct flight flight = {.command = command};
	char *stacks;
	int rc;

	if (pf_is_forbidden(PF_FORBIDDEN_SPAWN))
		return -EPERM;
	stacks = pf_place_map(2 * STACK_BYTES, PROT_READ | PROT_WRITE, MAP_STACK, -1);
	if (stacks == MAP_FAILED)
		return -ENOMEM;
	flight.inner_stack_top = stacks + STACK_BYTES;
	rc = fly(&flight, stacks + 2 * STACK_BYTES);
	munmap(stacks, 2 * STACK_BYTES);
	return rc < 0 ? rc : outcome_of(&flight);
}
