/* Captures: a walk into a borrowed room, our own frames cut out, the end marked, the rest stored.
 *
 * A stack is too deep for a handler's stack (4 KiB of addresses on a signal stack of 8 KiB), and a
 * room for each thread would cost thousands of threads their memory. So there are a few rooms for
 * all: a capture takes microseconds, and only that many run at once as there are CPUs, mostly.
 */
#include "base/arena.h"
#include "base/counter.h"
#include "base/fetch.h"
#include "base/knob.h"
#include "base/profile.h"
#include "sampler/find_object.h"
#include "sampler/gate.h"
#include "sampler/past.h"
#include "sampler/past_look.h"
#include "sampler/shard.h"
#include "sampler/stack.h"
#include "sampler/unwind.h"
#include "sampler/unwind_recent.h"

#include <dlfcn.h>
#include <link.h>
#include <stdbool.h>

#ifdef PF_SMALL
enum { ROOMS = 2 };
#else
enum { ROOMS = 64 };
#endif

enum {
	OWN_FRAMES_MAX = 16, /* of ours, in front of the program's leaf */
	ROOM_PCS = PF_STACK_DEPTH_MAX + OWN_FRAMES_MAX + 1,
};

/* Threads that capture at the same time do not meet on a line. */
struct room {
	bool lent; /* atomic */
	struct pf_unwind_recent recent;
	uint64_t pcs[ROOM_PCS];
} __attribute__((aligned(64)));

static struct room *rooms PF_WARM; /* atomic; ROOMS of them, mapped at the first capture */
/* A bit for each that was ever lent, atomic: of the others no page is there. */
static uint64_t met PF_WARM;
_Static_assert(ROOMS <= 64, "a bit for each room");

/* Set by the linker: the ends of our sections. Weak, because a program may have none of one. */
#define EDGE extern const char __attribute__((weak, visibility("hidden")))
EDGE __start_pf_hook[];
EDGE __stop_pf_hook[];
EDGE __start_pf_sigsafe[];
EDGE __stop_pf_sigsafe[];

/* The library as a whole, once pf_stack_init() found that it is one. */
static uint64_t library_low PF_WARM, library_high PF_WARM; /* library_high atomic, written last */

void pf_stack_init(void)
{
	struct dl_find_object found;

	pf_unwind_init();
	pf_gate_enter();
	pf_past_look();
	pf_gate_leave();
	if (!pf_find_object((uintptr_t)pf_stack_init, &found))
		return;
	if (!found.dlfo_link_map || !found.dlfo_link_map->l_prev)
		return; /* part of the program itself: there only the sections are ours */
	library_low = (uintptr_t)found.dlfo_map_start;
	__atomic_store_n(&library_high, (uintptr_t)found.dlfo_map_end, __ATOMIC_RELEASE);
}

void pf_stack_fork_child(void)
{
	struct room *all = rooms;

	for (uint64_t left = all ? met : 0; left; left &= left - 1)
		__atomic_store_n(&all[__builtin_ctzll(left)].lent, false, __ATOMIC_RELAXED);
	pf_past_fork_child();
	pf_unwind_fork_child();
}

/* Where our code is: the library, or, as a part of a program, the two sections. */
struct own {
	uint64_t low[2], size[2];
};

PF_INLINE void own_get(struct own *own)
{
	uint64_t high = __atomic_load_n(&library_high, __ATOMIC_ACQUIRE);

	own->low[0] = high ? library_low : (uintptr_t)__start_pf_sigsafe;
	own->size[0] = (high ? high : (uintptr_t)__stop_pf_sigsafe) - own->low[0];
	own->low[1] = (uintptr_t)__start_pf_hook;
	own->size[1] = (uintptr_t)__stop_pf_hook - own->low[1];
}

PF_INLINE bool is_own(const struct own *own, uint64_t pc)
{
	return pc - own->low[0] < own->size[0] || pc - own->low[1] < own->size[1];
}

static PF_SIGSAFE struct room *rooms_get(void)
{
	struct room *all = __atomic_load_n(&rooms, __ATOMIC_ACQUIRE), *none = NULL;

	if (PF_LIKELY(all))
		return all;
	all = pf_arena_map(ROOMS * sizeof(*all));
	if (!all)
		return NULL;
	if (__atomic_compare_exchange_n(
		&rooms, &none, all, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		return all;
	pf_arena_unmap(all, ROOMS * sizeof(*all));
	return none;
}

/* A room, or NULL when all are lent. */
static PF_SIGSAFE struct room *room_take(void)
{
	struct room *all = rooms_get();
	uint32_t first = pf_shard(); /* who is alone touches one room only */

	for (uint32_t n = 0; all && n < ROOMS; n++) {
		uint32_t number = (first + n) % ROOMS;
		struct room *room = &all[number];

		if (!(__atomic_load_n(&met, __ATOMIC_RELAXED) >> number & 1))
			__atomic_fetch_or(&met, 1ull << number, __ATOMIC_RELAXED);
		if (!__atomic_load_n(&room->lent, __ATOMIC_RELAXED) &&
		    !__atomic_exchange_n(&room->lent, true, __ATOMIC_ACQUIRE))
			return room;
	}
	return NULL;
}

PF_SIGSAFE void pf_stack_expect(void)
{
	struct room *all = __atomic_load_n(&rooms, __ATOMIC_ACQUIRE), *room;

	if (!all)
		return;
	room = &all[pf_shard() % ROOMS];
	pf_fetch_to_write(&room->lent);
	pf_recent_expect(&room->recent);
}

static PF_SIGSAFE void room_give(struct room *room)
{
	__atomic_store_n(&room->lent, false, __ATOMIC_RELEASE);
}

/* Cuts out our own frames, wherever they are: in front, when the program called us; below, when
 * the thread began in a function of ours. */
PF_SIGSAFE uint32_t pf_stack_cut_own(uint64_t *pcs, uint32_t count)
{
	struct own own;
	uint32_t kept = 0;

	own_get(&own);
	for (uint32_t i = 0; i < count; i++) {
		if (!is_own(&own, pcs[i]))
			pcs[kept++] = pcs[i];
	}
	return kept;
}

static PF_SIGSAFE uint32_t drop_first(uint64_t *pcs, uint32_t count, uint32_t skip)
{
	if (skip == 0 || skip >= count)
		return count;
	for (uint32_t i = skip; i < count; i++)
		pcs[i - skip] = pcs[i];
	return count - skip;
}

static PF_SIGSAFE uint32_t capture(const struct pf_unwind_regs *regs, uint32_t skip)
{
	uint32_t depth = (uint32_t)pf_knob_get(PF_KNOB_STACK_DEPTH), count, id;
	struct room *room = room_take();
	uint64_t *pcs = room ? room->pcs : NULL, marker = PF_PC_NO_STACK;
	struct pf_unwind_memory memory;
	enum pf_unwind_end end;

	if (!room) {
		pf_count(PF_COUNTER_STACK_NO_ROOM);
		return pf_stack_intern(&marker, 1);
	}
	if (depth > PF_STACK_DEPTH_MAX)
		depth = PF_STACK_DEPTH_MAX;
	pf_unwind_bounds(regs->value[PF_REG_SP], &memory);
	count =
	    pf_unwind_cfi_again(&room->recent, regs, &memory, pcs, depth + OWN_FRAMES_MAX, &end);
	count = pf_stack_cut_own(pcs, count);
	count = drop_first(pcs, count, skip);
	if (count > depth) {
		count = depth;
		end = PF_UNWIND_TRUNCATED;
	}
	marker = pf_unwind_marker(end);
	if (marker != 0)
		pcs[count++] = marker;
	id = pf_stack_intern(pcs, count);
	room_give(room);
	return id;
}

PF_SIGSAFE uint32_t pf_stack_capture_here(void)
{
	struct pf_unwind_regs regs;

	pf_unwind_from_here(&regs);
	return capture(&regs, 0);
}

PF_SIGSAFE uint32_t pf_stack_capture_above(uint32_t frames)
{
	struct pf_unwind_regs regs;

	pf_unwind_from_here(&regs);
	return capture(&regs, frames);
}

PF_SIGSAFE uint32_t pf_stack_frames_to(uint64_t low, uint64_t high)
{
	struct room *room = room_take();
	struct pf_unwind_memory memory;
	struct pf_unwind_regs regs;
	enum pf_unwind_end end;
	uint32_t count, n = 0;

	if (!room)
		return 0;
	pf_unwind_from_here(&regs);
	pf_unwind_bounds(regs.value[PF_REG_SP], &memory);
	count = pf_unwind_cfi(&regs, &memory, room->pcs, ROOM_PCS - 1, &end);
	count = pf_stack_cut_own(room->pcs, count);
	while (n < count && room->pcs[n] - low >= high - low)
		n++;
	room_give(room);
	return n < count ? n + 1 : 0;
}

PF_SIGSAFE uint32_t pf_stack_capture_context(const ucontext_t *context)
{
	struct pf_unwind_regs regs;

	pf_unwind_from_context(&regs, context);
	return capture(&regs, 0);
}
