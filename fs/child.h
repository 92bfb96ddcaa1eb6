/* Child: runs another program so that the watched program cannot notice.
 *
 *     our thread --clone, no exit signal--> a go-between --clone--> the command
 *
 * The go-between shares our memory and lives as long as the command is waited for; it never execs,
 * so the program gets no SIGCHLD for it and no waitpid(-1) of the program sees it. (An exec would
 * give a direct child its SIGCHLD back: linux fs/exec.c, de_thread().) The command gets a clean
 * environment, default signals, and no descriptor but those it is given.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

enum { PF_CHILD_FIRST_FD = 3, PF_CHILD_FDS_MAX = 3 };

struct pf_command {
	const char *const *paths; /* tried in turn; ends with NULL */
	const char *const *argv;
	const char *const *envp;
	int fds[PF_CHILD_FDS_MAX]; /* become 3, 4, 5 in the command */
	size_t fd_count;
	int directory;     /* where it runs, or -1: in / */
	int said;          /* its standard error; 0: nowhere */
	bool detach;       /* a session of its own, and nobody waits for it */
	bool dies_with_us; /* killed when the calling thread ends: execve(), exit, kill -9 */
};

/* The exit status (128 + n after a signal), 0 for a detached one that runs; or -errno. Our own
 * threads only: all signals must be blocked. */
int pf_child_run(const struct pf_command *command);
