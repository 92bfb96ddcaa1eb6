/* The hooks of the kinds `sleep` and `io`: only while config/block_kinds names them.
 *
 * Most reads and writes do not block, so they may cost next to nothing: the processor's own clock is
 * read before, a quarter of what clock_gettime() costs, and after it only where the thread may have
 * been off the processor since the last look (rseq.h). What then took long is looked at, and what did
 * not let go of the processor by itself has not blocked: it was interrupted, or it copied a lot.
 */
#include "base/clock.h"
#include "base/forbid.h"
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

/* A hook on its own cache line. */
#define HOT __attribute__((aligned(64)))

/* Shorter than this no call has blocked: going to sleep and waking up alone take as long. */
enum { SHORTEST_NS = 5 * PF_NS_PER_US };

static uint64_t few_ticks;           /* SHORTEST_NS of them */
static PF_TLS int64_t seen_switches; /* how often the thread had slept, at the last look */

/* Where the mark is, from the thread pointer. Where there can be none, or a tick takes a call, a place that
 * is never marked. */
static ptrdiff_t mark_offset;
static PF_TLS struct pf_rseq never_marked;

static PF_HOOK int64_t look(void)
{
	int saved = errno;
	struct rusage usage;

	if (pf_is_forbidden(PF_FORBIDDEN_USAGE))
		return seen_switches;
	pf_rseq_mark(); /* first: who sleeps behind it is looked at again */
	if (syscall(SYS_getrusage, RUSAGE_THREAD, &usage) == 0)
		seen_switches = usage.ru_nvcsw;
	errno = saved;
	return seen_switches;
}

/* A call is over; when it began, and how often the thread had slept until then. */
static PF_HOOK void look_at(uint64_t start, int64_t switches)
{
	uint64_t took = pf_tick() - start;

	if (start != 0 && took > few_ticks && look() != switches)
		pf_waiter_note((int64_t)pf_tick_ns(took), PF_WAIT_IO);
}

/* While the mark of the last look is there the thread has not slept since, and its number still holds. A
 * handler's calls look, too, and leave a mark: but if it slept before them, another number.
 *
 * The usual way keeps nothing over the call but its own two numbers: what the program passed lies where it
 * was, and what might need a call of ours is another function. */
#define IO(name)                                                                                   \
	static PF_HOOK long pf_real_beside_##name(PF_CALL_PARAMS)                                  \
	{                                                                                          \
		int64_t switches = pf_rseq_wiped() ? look() : seen_switches;                       \
		uint64_t start = pf_tick();                                                        \
		long rc = PF_WAIT_CALL(name);                                                      \
                                                                                                   \
		if (!pf_rseq_stays() || seen_switches != switches)                                 \
			look_at(start, switches);                                                  \
		return rc;                                                                         \
	}                                                                                          \
	static PF_HOOK HOT long pf_real_after_##name(PF_CALL_PARAMS)                               \
	{                                                                                          \
		int64_t switches;                                                                  \
		uint64_t start;                                                                    \
		long rc;                                                                           \
                                                                                                   \
		if (PF_UNLIKELY(!pf_rseq_is_marked_at(mark_offset) ||                              \
				(pf_forbidden_here & PF_FORBIDDEN_CLOCK)))                         \
			return pf_real_beside_##name(PF_CALL_ARGS);                                \
		switches = seen_switches;                                                          \
		start = pf_tick_of_processor();                                                    \
		rc = PF_WAIT_CALL(name);                                                           \
		if (PF_UNLIKELY(!pf_rseq_stays_at(mark_offset) || seen_switches != switches))      \
			look_at(start, switches);                                                  \
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
	mark_offset =
	    pf_rseq_offset && pf_tick_raw ? pf_rseq_offset : pf_rseq_offset_of(&never_marked);
}
