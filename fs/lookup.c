#include "fs/lookup.h"
#include "base/buf.h"
#include "base/counter.h"
#include "base/feature.h"
#include "base/knob.h"
#include "base/lock.h"
#include "fs/child.h"
#include "render/render.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Of one run; what was answered by then is used. A 100 MB debug file takes one or two. */
#define SECONDS_MAX "20"

/* 100,000 addresses with three lines each are about 30 MB. */
static const size_t ANSWER_BYTES_MAX = (size_t)256 << 20;

/* ---- the process ---- */

static int read_whole(int fd, struct pf_buf *out)
{
	struct stat st;
	size_t size;
	char *room;
	ssize_t n;

	if (fstat(fd, &st) < 0)
		return -errno;
	size = st.st_size < (off_t)ANSWER_BYTES_MAX ? (size_t)st.st_size : ANSWER_BYTES_MAX;
	room = pf_buf_room(out, size + 1);
	if (!room)
		return out->error;
	for (size_t at = 0; at < size; at += (size_t)n) {
		n = pread(fd, room + at, size - at, (off_t)at);
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		out->length += (size_t)n;
	}
	return 0;
}

static int run(const char *program, int asked, int answer)
{
	const char *const paths[] = {program, NULL};
	static const char *const environment[] = {"PATH=/usr/bin:/bin", NULL};
	char bytes[24];
	const char *const argv[] = {"proffs-lines", bytes, SECONDS_MAX, NULL};
	struct pf_command command = {
	    .paths = paths,
	    .argv = argv,
	    .envp = environment,
	    .fds = {asked, answer},
	    .fd_count = 2,
	    .directory = -1,
	    .dies_with_us = true,
	};

	snprintf(bytes, sizeof(bytes), "%lld", (long long)pf_knob_get(PF_KNOB_SYMBOLS_MEMORY));
	return pf_child_run(&command);
}

static void say(int rc)
{
	if (rc == 0)
		pf_feature_set(PF_FEATURE_LINES, PF_FEATURE_OK, NULL);
	else if (rc == 128 + SIGALRM)
		pf_feature_set(PF_FEATURE_LINES, PF_FEATURE_DEGRADED,
		    "looking lines up took longer than " SECONDS_MAX " s: some are missing");
	else if (rc > 0)
		pf_feature_set(PF_FEATURE_LINES, PF_FEATURE_DEGRADED,
		    "proffs-lines ended early (config/symbols_memory too small?): some lines are "
		    "missing");
	else
		pf_feature_set(PF_FEATURE_LINES, PF_FEATURE_NONE,
		    "proffs-lines could not be started: profiles have names only");
}

static int ask(void *lookup, const struct pf_buf *asked, struct pf_buf *answer)
{
	const char *program = ((const struct pf_lookup *)lookup)->program;
	int asked_fd = -1, answer_fd = -1;
	int rc = -ENOENT;

	if (!program[0])
		return rc;
	asked_fd = memfd_create("proffs-asked", MFD_CLOEXEC);
	answer_fd = memfd_create("proffs-answer", MFD_CLOEXEC);
	rc = asked_fd < 0 || answer_fd < 0 ? -errno : 0;
	if (rc == 0)
		rc = pf_buf_write(asked, asked_fd);
	if (rc == 0) {
		lseek(asked_fd, 0, SEEK_SET);
		pf_count(PF_COUNTER_LINE_LOOKUPS);
		rc = run(program, asked_fd, answer_fd);
		say(rc);
		read_whole(answer_fd, answer);
	}
	if (asked_fd >= 0)
		close(asked_fd);
	if (answer_fd >= 0)
		close(answer_fd);
	return rc > 0 ? (rc == 128 + SIGALRM ? -ETIMEDOUT : -EIO) : rc;
}

/* ---- turns ---- */

static void take_turn(struct pf_lookup *lookup)
{
	while (__atomic_exchange_n(&lookup->turn, 1, __ATOMIC_ACQUIRE) != 0)
		pf_futex_wait(&lookup->turn, 1, -1);
}

static void give_turn(struct pf_lookup *lookup)
{
	__atomic_store_n(&lookup->turn, 0, __ATOMIC_RELEASE);
	pf_futex_wake(&lookup->turn, 1);
}

int pf_lookup_init(struct pf_lookup *lookup)
{
	*lookup = (struct pf_lookup){.turn = 0};
	lookup->lines = pf_lines_create(ask, lookup);
	if (!lookup->lines)
		return -ENOMEM;
	pf_lines_set_process(lookup->lines, getpid());
	return 0;
}

void pf_lookup_finish(struct pf_lookup *lookup)
{
	pf_lines_destroy(lookup->lines);
	lookup->lines = NULL;
}

void pf_lookup_set_program(struct pf_lookup *lookup, const char *program)
{
	if (program && strlen(program) < sizeof(lookup->program))
		strcpy(lookup->program, program);
	else
		pf_feature_set(PF_FEATURE_LINES, PF_FEATURE_NONE,
		    "proffs-lines is not installed: profiles have names only");
}

int pf_lookup_take(struct pf_lookup *lookup, const struct pf_profile *in, struct pf_profile *out)
{
	int rc;

	take_turn(lookup);
	rc = pf_lines_take(lookup->lines, in, out);
	give_turn(lookup);
	return rc;
}
