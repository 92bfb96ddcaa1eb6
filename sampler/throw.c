#include "sampler/throw.h"
#include "base/clock.h"
#include "base/counter.h"
#include "base/feature.h"
#include "base/knob.h"
#include "base/lock.h"
#include "base/loss.h"
#include "sampler/map.h"
#include "sampler/stack.h"
#include "sampler/tally.h"
#include "sampler/throw_hook.h"
#include "sampler/throw_last.h"
#include "sampler/throw_message.h"
#include "sampler/throw_static.h"

#include <stdio.h>
#include <string.h>

#ifdef PF_SMALL
enum { ROW_TABLES = 3 };
#else
enum { ROW_TABLES = 4 }; /* 10,880 rows, 2.5 MB when all are used */
#endif
enum { STRIDE_SHIFT_MAX = 20 };

/* Of a row: the type and how above the stack. */
enum { HOW_BIT = 60, TYPE_BIT = 32 };
static const uint64_t KEY_USED = 1ull << 63;

static const char *const how_names[] = {"throw", "rethrow"};

static struct pf_lock control_lock = PF_LOCK_INIT(PF_LOCK_WINDOW);
static bool enabled; /* atomic; guarded by control_lock for writing */

static struct pf_tally rows = {.note_bytes = PF_THROW_MESSAGE, .table_count = ROW_TABLES};

/* ---- which stacks are taken ---- */

static int64_t second_ns;    /* atomic: when the second at hand began */
static uint64_t taken_in_it; /* atomic: stacks */

/* Numbers of throws, mixed: which of them are taken must have nothing to do with their order. */
PF_INLINE uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return x ^ x >> 31;
}

/* Past the limit every half of it more doubles the stride, so any rate costs little. */
static PF_HOOK bool take_stack(uint64_t number)
{
	int64_t now = pf_clock_ns(CLOCK_MONOTONIC_COARSE);
	int64_t began = __atomic_load_n(&second_ns, __ATOMIC_RELAXED);
	uint64_t limit = (uint64_t)pf_knob_get(PF_KNOB_EXCEPTION_STACKS);
	uint64_t taken, shift = 0;

	if (now - began >= PF_NS_PER_SECOND && __atomic_compare_exchange_n(&second_ns, &began, now,
						   false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		__atomic_store_n(&taken_in_it, 0, __ATOMIC_RELAXED);
	taken = __atomic_load_n(&taken_in_it, __ATOMIC_RELAXED);
	if (taken >= limit)
		shift = 1 + (taken - limit) * 2 / limit;
	if (shift > STRIDE_SHIFT_MAX)
		shift = STRIDE_SHIFT_MAX;
	if (shift && (mix(number) & ((1ull << shift) - 1)) != 0)
		return false;
	__atomic_fetch_add(&taken_in_it, 1, __ATOMIC_RELAXED);
	return true;
}

/* ---- counting ---- */

PF_INLINE uint64_t key_of(uint32_t type, enum pf_throw_how how, uint32_t stack)
{
	return KEY_USED | (uint64_t)how << HOW_BIT | (uint64_t)type << TYPE_BIT | stack;
}

/* At its stack, together with those of its type that no stack was taken for. */
static PF_HOOK uint32_t count_at_stack(
    const struct pf_throw *seen, uint32_t number, struct pf_throw_type *type, const char *message)
{
	uint32_t stack = pf_stack_capture_above(seen->skip);
	uint64_t *pending = &type->pending[seen->how];
	struct pf_tally_row *row = pf_tally_find(&rows, key_of(number, seen->how, stack));
	uint64_t count = 1;

	if (__atomic_load_n(pending, __ATOMIC_RELAXED))
		count += __atomic_exchange_n(pending, 0, __ATOMIC_RELAXED);
	if (!row) {
		__atomic_fetch_add(pending, count, __ATOMIC_RELAXED); /* no memory for rows */
		return stack;
	}
	/* That of the first, even if it said nothing: labels that change would be another row. */
	if (pf_tally_wants_note(row) && pf_tally_note_begin(row)) {
		memcpy(row->note, message, PF_THROW_MESSAGE);
		pf_tally_note_end(row);
	}
	pf_tally_add(row, count);
	return stack;
}

PF_HOOK void pf_throw_note(const struct pf_throw *seen)
{
	uint32_t number = pf_throw_type_find(seen->name);
	struct pf_throw_type *type = pf_throw_type_at(number);
	uint64_t order = __atomic_fetch_add(&type->seen, 1, __ATOMIC_RELAXED);
	char message[PF_THROW_MESSAGE];
	bool sampled = take_stack(order);
	uint32_t stack = 0;

	pf_count(PF_COUNTER_EXCEPTIONS_SEEN);
	pf_throw_message(message, seen->type, seen->object);
	if (sampled)
		stack = count_at_stack(seen, number, type, message);
	else
		__atomic_fetch_add(&type->pending[seen->how], 1, __ATOMIC_RELAXED);
	pf_throw_last_set(seen, number, sampled ? &stack : NULL, message);
}

/* ---- on and off ---- */

bool pf_throw_enabled(void)
{
	return __atomic_load_n(&enabled, __ATOMIC_ACQUIRE);
}

static int enable_locked(void)
{
	int rc;

	pf_tally_clear(&rows);
	pf_throw_type_clear();
	rc = pf_throw_hook_on();
	if (rc < 0)
		pf_feature_set(PF_FEATURE_EXCEPTIONS, PF_FEATURE_NONE,
		    "no memory to remember what is patched");
	else if (pf_throw_static())
		pf_feature_set(PF_FEATURE_EXCEPTIONS, PF_FEATURE_DEGRADED,
		    "the executable has a C++ runtime inside that raises by itself (-static-libgcc): "
		    "its exceptions cannot be seen");
	else
		pf_feature_set(PF_FEATURE_EXCEPTIONS, PF_FEATURE_OK, NULL);
	return rc;
}

int pf_throw_enable(bool on)
{
	int rc = 0;

	pf_lock_take(&control_lock);
	if (on && !enabled) {
		rc = enable_locked();
	} else if (!on && enabled) {
		pf_throw_hook_off();
		pf_feature_set(PF_FEATURE_EXCEPTIONS, PF_FEATURE_OFF, NULL);
	}
	if (rc == 0)
		__atomic_store_n(&enabled, on, __ATOMIC_RELEASE);
	pf_lock_give(&control_lock);
	return rc;
}

void pf_throw_fork_child(void)
{
	__atomic_store_n(&enabled, false, __ATOMIC_RELEASE);
	pf_lock_reset(&control_lock);
	pf_throw_last_fork_child();
}

/* ---- reading ---- */

void pf_throw_add_sample(struct pf_profile *out, uint32_t type, enum pf_throw_how how,
    const uint64_t *pcs, uint32_t count, int64_t value)
{
	const struct pf_throw_type *t = pf_throw_type_at(type);
	char name[PF_THROW_NAME_MAX + 8];

	/* As the linker calls the type's own type_info: readers know how to demangle that. */
	snprintf(name, sizeof(name), "%s%s", t->name[0] == '[' ? "" : "_ZTI", t->name);
	pf_profile_add_sample(out, pcs, count, &value);
	pf_profile_label_str(out, "type", name);
	pf_profile_label_str(out, "how", how_names[how]);
}

static void add_row(void *profile, const struct pf_tally_row *row, uint64_t count)
{
	struct pf_profile *out = profile;
	uint32_t type = row->key >> TYPE_BIT & 0xffff;
	enum pf_throw_how how = row->key >> HOW_BIT & 1;
	const char *message = pf_tally_note(row);
	const uint64_t *pcs;
	uint32_t pc_count = pf_stack_read((uint32_t)row->key, &pcs);

	pf_throw_add_sample(out, type, how, pcs, pc_count, (int64_t)count);
	if (message && message[0])
		pf_profile_label_str(out, "message", message);
}

/* Throws that no stack stands for yet. */
static void add_pending(struct pf_profile *out)
{
	static const uint64_t marker = PF_PC_NOT_SAMPLED;

	for (uint32_t i = 0; i < pf_throw_type_limit(); i++) {
		const struct pf_throw_type *type = pf_throw_type_at(i);

		for (int how = 0; type && how < PF_THROW_HOWS; how++) {
			uint64_t count = __atomic_load_n(&type->pending[how], __ATOMIC_RELAXED);

			if (count)
				pf_throw_add_sample(
				    out, i, (enum pf_throw_how)how, &marker, 1, (int64_t)count);
		}
	}
}

/* Who throws is of interest, not what the language's library does about it. None of these calls code of
 * the program; std::panicking::try would. */
static const char raisers[] =
    "__cxa_(re)?throw|std::(rethrow_exception|__throw_[a-z_]*)|"
    "rust_panic|rust_begin_unwind|__rust_start_panic|std::panic::resume_unwind|"
    "std::panicking::(begin|rust)_panic.*|core::panicking::.*|core::(option|result)::(unwrap|expect)_failed|"
    "std::sys(_common)?::backtrace::__rust_end_short_backtrace";

int pf_throw_collect(struct pf_profile *out, const struct pf_query *query, struct pf_wait *wait)
{
	static const enum pf_counter losses[] = {PF_COUNTER_EXCEPTION_TYPES_FULL,
	    PF_COUNTER_PATCH_FOREIGN, PF_COUNTER_PATCH_REFUSED, PF_COUNTER_STACK_OVERFLOW};
	int rc;

	if (!pf_throw_enabled())
		pf_profile_comment(
		    out, "off: echo +exceptions > enable; what there is, is of before");
	pf_profile_comment(out, "exception_stacks %lld, exception_messages %lld",
	    (long long)pf_knob_get(PF_KNOB_EXCEPTION_STACKS),
	    (long long)pf_knob_get(PF_KNOB_EXCEPTION_MESSAGES));
	pf_loss_comment(out, losses, PF_COUNT(losses));
	out->time_ns = pf_clock_real_ns();
	out->leaf_is_return = true;
	out->drop_frames = raisers;
	pf_profile_add_type(out, "exceptions", "count");
	pf_profile_set_period(out, "exceptions", "count", 1);
	pf_tally_for_each(&rows, add_row, out);
	add_pending(out);
	pf_profile_merge_same(out); /* largest first */
	rc = pf_map_fill(out);
	return rc < 0 ? rc : out->error;
}
