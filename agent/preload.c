/* Preload: the constructor and the destructor. The only code of ours that a program runs unasked.
 *
 * Without PROFFS_MOUNT, or for another process than PROFFS_RUN names, it reads the environment and
 * returns: no thread, no file, no hook.
 */
#include "agent/agent.h"

#include <errno.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

static void say_bad_setting(const char *name)
{
	struct iovec words[] = {
	    {.iov_base = (void *)"proffs: bad value, left as it was: ", .iov_len = 35},
	    {.iov_base = (void *)name, .iov_len = strlen(name)},
	    {.iov_base = (void *)"\n", .iov_len = 1},
	};

	if (writev(STDERR_FILENO, words, PF_COUNT(words)) < 0)
		return; /* nobody to tell */
}

__attribute__((constructor)) static void start_when_asked(void)
{
	static struct pf_option option;
	const char *complaint;
	int saved = errno;

	if (pf_option_from_environment(&option, &complaint)) {
		if (complaint)
			say_bad_setting(complaint);
		/* Before main(): what the program's own constructors do is its too. */
		if (option.chosen) {
			pf_option_apply(&option);
			pf_sampler_start_early(option.collectors);
		}
		pf_agent_start(&option);
	}
	errno = saved;
}

__attribute__((destructor)) static void stop_at_exit(void)
{
	pf_agent_stop();
}
