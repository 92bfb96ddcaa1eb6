/* Preload: the constructor and the destructor. The only code of ours that a program runs unasked.
 *
 * Without PROFFS_MOUNT, or for another process than PROFFS_RUN names (and no %p in the place), it reads
 * the environment and returns: no thread, no file, no hook.
 */
#include "agent/agent.h"
#include "agent/dump.h"
#include "agent/early_malloc.h"
#include "agent/stderr.h"
#include "base/glibc.h"

#include <errno.h>
#include <limits.h>
#include <mntent.h>
#include <stdio.h>
#include <string.h>

/* A child that merely inherited PROFFS_MOUNT finds its parent's tree there. Asked of the list of mounts:
 * the tree itself would have to answer. */
static bool others_have_it(const struct pf_option *option)
{
	char place[PATH_MAX], line[2 * PATH_MAX];
	const char *mount = pf_option_mount(option, place);
	FILE *mounts = mount ? setmntent("/proc/self/mounts", "re") : NULL;
	struct mntent entry;
	bool found = false;

	while (mounts && !found && getmntent_r(mounts, &entry, line, sizeof(line)))
		found = strcmp(entry.mnt_dir, mount) == 0;
	if (mounts)
		endmntent(mounts);
	return found;
}

static void refuse(const struct pf_option *option, const char *why)
{
	if (option->chosen || !others_have_it(option))
		pf_stderr_say("proffs: no tree: ", why, "; the program runs unwatched\n");
}

/* To ask who has the tree takes memory. A child says nothing. */
static void refuse_without_malloc(const struct pf_option *option)
{
	if (option->chosen)
		pf_stderr_say(
		    "proffs: no tree: the program's own malloc does not work before main()",
		    " begins; the program runs unwatched", "\n");
}

static void start(const struct pf_option *option)
{
	int rc;

	/* Before main(): what the program's own constructors do is its too. */
	if (option->chosen) {
		pf_option_apply(option);
		pf_sampler_start_early(option->collectors);
	}
	if (pf_option_wants_files_at_end(option))
		pf_stderr_remember();
	rc = pf_agent_start(option);
	if (rc == 0 && (option->chosen || pf_option_wants_files_at_end(option)))
		pf_agent_move_in(option);
	if (rc < 0 && rc != -EALREADY && option->chosen)
		pf_stderr_say("proffs: no tree: no thread to be had: ", strerrordesc_np(-rc),
		    "; the program runs unwatched\n");
}

__attribute__((constructor)) static void start_when_asked(void)
{
	static struct pf_option option;
	const char *complaint, *obstacle;
	int saved = errno;

	if (pf_glibc_is_here() && pf_option_from_environment(&option, &complaint)) {
		if (complaint)
			pf_stderr_say("proffs: bad value, left as it was: ", complaint, "\n");
		if (!pf_early_malloc_works()) {
			refuse_without_malloc(&option);
			errno = saved;
			return;
		}
		obstacle = pf_sampler_obstacle();
		if (obstacle)
			refuse(&option, obstacle);
		else
			start(&option);
	}
	errno = saved;
}

__attribute__((destructor)) static void stop_at_exit(void)
{
	int saved = errno;
	const char *complaint = pf_agent_stop() == 0 ? pf_dump_complaint() : NULL;

	if (complaint && pf_stderr_is_same())
		pf_stderr_say(complaint, ": not all files are written", "\n");
	errno = saved;
}
