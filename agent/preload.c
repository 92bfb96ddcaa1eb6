/* Preload: the constructor and the destructor. The only code of ours that a program runs unasked.
 *
 * Without PROFFS_MOUNT, or for another process than PROFFS_RUN names, it reads the environment and
 * returns: no thread, no file, no hook.
 */
#include "agent/agent.h"
#include "agent/dump.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* On the program's stderr, where it can be written at once: neither a full pipe may hold the program,
 * nor a broken one end it. */
static void say(const char *what, const char *which, const char *end)
{
	struct iovec words[] = {
	    {.iov_base = (void *)what, .iov_len = strlen(what)},
	    {.iov_base = (void *)which, .iov_len = strlen(which)},
	    {.iov_base = (void *)end, .iov_len = strlen(end)},
	};
	struct pollfd room = {.fd = STDERR_FILENO, .events = POLLOUT};
	struct timespec now = {0, 0};
	sigset_t broken, before, pending;

	if (poll(&room, 1, 0) != 1 || room.revents != POLLOUT)
		return;
	sigemptyset(&broken);
	sigaddset(&broken, SIGPIPE);
	sigpending(&pending);
	pthread_sigmask(SIG_BLOCK, &broken, &before);
	if (writev(STDERR_FILENO, words, PF_COUNT(words)) < 0 && errno == EPIPE &&
	    !sigismember(&pending, SIGPIPE))
		sigtimedwait(&broken, NULL, &now);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* A program may have closed it, and have a file of its own there by now. */
static struct stat first_stderr;

static bool is_same_stderr(void)
{
	struct stat now;

	return fstat(STDERR_FILENO, &now) == 0 && first_stderr.st_ino &&
	       now.st_ino == first_stderr.st_ino && now.st_dev == first_stderr.st_dev;
}

__attribute__((constructor)) static void start_when_asked(void)
{
	static struct pf_option option;
	const char *complaint;
	int saved = errno;
	int rc;

	if (pf_option_from_environment(&option, &complaint)) {
		if (complaint)
			say("proffs: bad value, left as it was: ", complaint, "\n");
		/* Before main(): what the program's own constructors do is its too. */
		if (option.chosen) {
			pf_option_apply(&option);
			pf_sampler_start_early(option.collectors);
		}
		if (pf_option_wants_files_at_end(&option) &&
		    fstat(STDERR_FILENO, &first_stderr) != 0)
			first_stderr.st_ino = 0;
		rc = pf_agent_start(&option);
		if (rc < 0 && rc != -EALREADY && option.chosen)
			say("proffs: no tree: no thread to be had: ", strerrordesc_np(-rc),
			    "; the program runs unwatched\n");
	}
	errno = saved;
}

__attribute__((destructor)) static void stop_at_exit(void)
{
	int saved = errno;
	const char *complaint = pf_agent_stop() == 0 ? pf_dump_complaint() : NULL;

	if (complaint && is_same_stderr())
		say(complaint, ": not all files are written", "\n");
	errno = saved;
}
