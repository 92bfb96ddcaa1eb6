/* The hooks of the kinds `sleep` and `io`: only while config/block_kinds names them.
 *
 * Most reads and writes do not block, so they may cost next to nothing: the processor's own clock is
 * read before, a quarter of what clock_gettime() costs, and after it only where the thread may have
 * been off the processor (rseq.h). What then took long is looked at, and what did not let go of the
 * processor by itself has not blocked: it was interrupted, or it copied a lot.
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

/* Has the thread slept since the last look? If not, then not in this call either. */
static PF_HOOK bool has_slept(void)
{
	struct rusage usage;
	int64_t before = seen_switches;

	if (syscall(SYS_getrusage, RUSAGE_THREAD, &usage) != 0)
		return true;
	seen_switches = usage.ru_nvcsw;
	return usage.ru_nvcsw != before;
}

static PF_HOOK void look_at(uint64_t start)
{
	uint64_t took = pf_tick() - start;
	int saved = errno;

	if (took > few_ticks && has_slept())
		pf_waiter_note((int64_t)pf_tick_ns(took), PF_WAIT_IO);
	errno = saved;
}

#define IO(name)                                                                                   \
	static PF_HOOK long pf_real_after_##name(PF_CALL_PARAMS)                                   \
	{                                                                                          \
		uint64_t start = pf_tick();                                                        \
		long rc;                                                                           \
                                                                                                   \
		pf_rseq_mark();                                                                    \
		rc = PF_WAIT_CALL(name);                                                           \
		if (PF_UNLIKELY(!pf_rseq_unmark()))                                                \
			look_at(start);                                                            \
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
