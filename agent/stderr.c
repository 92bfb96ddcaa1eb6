#include "agent/stderr.h"
#include "base/forbid.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { PIECES = 3 };

/* A program may have closed it, and have a file of its own there by now. */
static struct stat first; /* st_ino 0: none */
static char path[PATH_MAX];

static ssize_t write_line(int fd, const char *what, const char *which, const char *end)
{
	struct iovec words[PIECES] = {
	    {.iov_base = (void *)what, .iov_len = strlen(what)},
	    {.iov_base = (void *)which, .iov_len = strlen(which)},
	    {.iov_base = (void *)end, .iov_len = strlen(end)},
	};

	return writev(fd, words, PIECES);
}

/* Neither a full pipe may hold the program, nor a broken one end it. */
void pf_stderr_say(const char *what, const char *which, const char *end)
{
	struct pollfd room = {.fd = STDERR_FILENO, .events = POLLOUT};
	struct timespec now = {0, 0};
	sigset_t broken, before, pending;

	if (pf_is_forbidden(PF_FORBIDDEN_WORDS))
		return;
	if (poll(&room, 1, 0) != 1 || room.revents != POLLOUT)
		return;
	sigemptyset(&broken);
	sigaddset(&broken, SIGPIPE);
	sigpending(&pending);
	pthread_sigmask(SIG_BLOCK, &broken, &before);
	if (write_line(STDERR_FILENO, what, which, end) < 0 && errno == EPIPE &&
	    !sigismember(&pending, SIGPIPE))
		sigtimedwait(&broken, NULL, &now);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void pf_stderr_remember(void)
{
	ssize_t length = -1;

	if (fstat(STDERR_FILENO, &first) != 0)
		first.st_ino = 0;
	else if (S_ISREG(first.st_mode) || isatty(STDERR_FILENO))
		length = readlink("/proc/self/fd/2", path, sizeof(path) - 1);
	path[length > 0 ? length : 0] = '\0';
}

static bool is_first(int fd)
{
	struct stat now;

	return fstat(fd, &now) == 0 && first.st_ino && now.st_ino == first.st_ino &&
	       now.st_dev == first.st_dev;
}

bool pf_stderr_is_same(void)
{
	return is_first(STDERR_FILENO);
}

/* O_NONBLOCK: a terminal may be stopped, and what stands at that name by now may be anything. */
void pf_stderr_say_afterwards(const char *what, const char *which, const char *end)
{
	int fd = -1;

	if (path[0])
		fd = open(
		    path, O_WRONLY | O_APPEND | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return;
	if (is_first(fd))
		write_line(fd, what, which, end);
	close(fd);
}
