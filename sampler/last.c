#include "sampler/last.h"
#include "base/clock.h"
#include "base/lock.h"
#include "base/mark.h"
#include "sampler/crew.h"
#include "sampler/task.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Others that have ended too are gone as soon as they have been given a processor, which on a busy
 * machine takes a while; one that is still there after two seconds was never counted (a clone of the
 * program's own) and lives on. */
enum { LOOKS = 2000 };

static int32_t counted_threads; /* atomic: counted, and not ended */
static uint32_t first_ended;    /* atomic: the thread that main() ran on, or that forked us */

PF_HOOK void pf_last_count(int change)
{
	__atomic_fetch_add(&counted_threads, change, __ATOMIC_SEQ_CST);
}

/* How many threads of the program live beside the caller; -1: not known. The link count of the
 * directory is two, and one for each thread; the first thread stays in there when it has ended. */
static int64_t others(bool is_first)
{
	enum { OF_ITSELF = 2 };
	struct stat st;

	if (stat("/proc/self/task", &st) != 0)
		return -1;
	return (int64_t)st.st_nlink - OF_ITSELF - pf_crew_count() - 1 - !is_first;
}

static bool is_alone(bool is_first)
{
	uint32_t never = 0;
	int alone = 0;

	/* Twice, for a thread of ours may be about to begin. */
	for (int i = 0; i < LOOKS && alone < 2; i++) {
		if (i)
			pf_futex_wait(&never, 0, pf_clock_now_ns() + PF_NS_PER_MS);
		alone = others(is_first) == 0 ? alone + 1 : 0;
	}
	return alone == 2;
}

void pf_last_end(bool counted)
{
	bool is_first = syscall(SYS_gettid) == getpid();
	int32_t left = __atomic_sub_fetch(&counted_threads, counted, __ATOMIC_SEQ_CST);

	if (is_first)
		__atomic_store_n(&first_ended, 1, __ATOMIC_SEQ_CST);
	if (left > 0 || !__atomic_load_n(&first_ended, __ATOMIC_SEQ_CST) || pf_crew_count() == 0)
		return;
	if (is_alone(is_first))
		exit(0); /* as libc does */
}

/* The third field of its stat: Z where the first thread has ended and others have not. */
static bool first_is_gone(void)
{
	char text[512];
	ssize_t got = pf_task_read(getpid(), "stat", text, sizeof(text) - 1);
	const char *name_end;

	if (got <= 0)
		return false;
	text[got] = '\0';
	name_end = strrchr(text, ')');
	return name_end && name_end[1] == ' ' && name_end[2] == 'Z';
}

bool pf_last_nobody_left(void)
{
	static bool before; /* its one caller's */
	bool nobody = pf_task_count() == 1 && first_is_gone();
	bool twice = nobody && before;

	before = nobody;
	return twice;
}

PF_SIGSAFE void pf_last_fork_child(void)
{
	counted_threads = 0;
	first_ended = 0;
}
