/* The hooks of the kinds `sleep` and `io`: only while config/block_kinds names them.
 *
 * Most reads and writes do not block, so they may cost next to nothing: the processor's own clock is
 * read before, a quarter of what clock_gettime() costs, and after it only where the thread may have
 * been off the processor since the last look (rseq.h). What then took long is looked at, and what did
 * not let go of the processor by itself has not blocked: it was interrupted, or it copied a lot.
 */
#include "base/clock.h"
#include "base/mark.h"
#include "sampler/patch.h"
#include "sampler/rseq.h"
#include "sampler/tick.h"
#include "sampler/wait_call.h"
#include "sampler/wait_hook.h"
#include "sampler/waiter.h"

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Shorter than this no call has blocked: going to sleep and waking up alone take as long. */
enum { SHORTEST_NS = 5 * PF_NS_PER_US };

static uint64_t few_ticks;           /* SHORTEST_NS of them */
static PF_TLS int64_t seen_switches; /* how often the thread had slept, at the last look */
static PF_TLS uint32_t looks;        /* a handler's calls look, too */

/* What a call began with. */
struct beginning {
	uint64_t start;
	int64_t switches;
	uint32_t looks;
};

static PF_HOOK int64_t look(void)
{
	int saved = errno;
	struct rusage usage;

	looks++;
	pf_rseq_mark(); /* first: who sleeps behind it is looked at again */
	if (syscall(SYS_getrusage, RUSAGE_THREAD, &usage) == 0)
		seen_switches = usage.ru_nvcsw;
	errno = saved;
	return seen_switches;
}

/* While the mark of the last look is there the thread has not slept since, and its number still holds. */
PF_INLINE struct beginning begin(void)
{
	if (PF_UNLIKELY(pf_rseq_wiped()))
		look();
	return (struct beginning){.switches = seen_switches, .looks = looks, .start = pf_tick()};
}

static PF_HOOK void look_at(const struct beginning *b)
{
	uint64_t took = pf_tick() - b->start;

	if (took > few_ticks && look() != b->switches)
		pf_waiter_note((int64_t)pf_tick_ns(took), PF_WAIT_IO);
}

#define IO(name)                                                                                   \
	static PF_HOOK long pf_real_after_##name(PF_CALL_PARAMS)                                   \
	{                                                                                          \
		struct beginning before = begin();                                                 \
		long rc = PF_WAIT_CALL(name);                                                      \
                                                                                                   \
		if (PF_UNLIKELY(!pf_rseq_stays() || looks != before.looks))                        \
			look_at(&before);                                                          \
		return rc;                                                                         \
	}

#define SLEEP(name)                                                                                \
	static PF_HOOK long pf_real_after_##name(PF_CALL_PARAMS)                                   \
	{                                                                                          \
		int64_t start_ns = pf_clock_now_ns();                                              \
		long rc = PF_WAIT_CALL(name);                                                      \
                                                                                                   \
		pf_waiter_note(pf_clock_now_ns() - start_ns, PF_WAIT_SLEEP);                       \
		return rc;                                                                         \
	}

PF_IO_CALLS(IO)
PF_SLEEP_CALLS(SLEEP)

#define ROW(name) {#name, (void *)pf_real_after_##name, &pf_wait_calls[PF_CALL_##name], NULL},

static const struct pf_patch io_rows[] = {PF_IO_CALLS(ROW)};
static const struct pf_patch sleep_rows[] = {PF_SLEEP_CALLS(ROW)};

struct pf_patch_set pf_wait_io_set = {.patches = io_rows, .count = PF_COUNT(io_rows)};
struct pf_patch_set pf_wait_sleep_set = {.patches = sleep_rows, .count = PF_COUNT(sleep_rows)};

void pf_wait_io_start(void)
{
	pf_rseq_start();
	few_ticks = ((uint64_t)SHORTEST_NS << PF_TICK_SHIFT) / pf_tick_ns_fraction;
}
