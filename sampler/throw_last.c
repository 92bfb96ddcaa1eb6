#include "sampler/throw_last.h"
#include "base/clock.h"
#include "base/mark.h"
#include "sampler/map.h"
#include "sampler/stack.h"
#include "sampler/throw_abi.h"
#include "sampler/throw_message.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

struct last {
	uint32_t type, how, stack;
	bool has_stack, fatal;
	pid_t tid;
	int64_t time_ns; /* 0: nothing yet */
	char message[PF_THROW_MESSAGE];
};

/* Written by whoever gets the lock at once: of two throws at one moment either may be the last.
 * `turns` is odd while it is written. */
static uint32_t last_lock;  /* atomic */
static uint32_t last_turns; /* atomic */
static struct last last;

/* This thread's own, for when it turns out to be fatal. The object is alive as long as its exception
 * is handled. */
static PF_TLS struct {
	uint32_t type, how, stack;
	bool has_stack;
	pid_t tid;
	const struct pf_type_info *info;
	void *object;
	const void *header;
	uint64_t raiser;
} own;

/* last_lock is held. */
static PF_HOOK void write_last(const char *message, bool fatal)
{
	__atomic_fetch_add(&last_turns, 1, __ATOMIC_ACQ_REL);
	last.type = own.type;
	last.how = own.how;
	last.stack = own.stack;
	last.has_stack = own.has_stack;
	last.fatal = fatal;
	last.tid = own.tid;
	last.time_ns = pf_clock_ns(CLOCK_REALTIME_COARSE);
	memcpy(last.message, message, sizeof(last.message));
	__atomic_fetch_add(&last_turns, 1, __ATOMIC_RELEASE);
}

PF_HOOK void pf_throw_last_set(
    const struct pf_throw *seen, uint32_t type, const uint32_t *stack, const char *message)
{
	/* Thrown once more it is the same exception, and whoever asks wants to know where it came from.
	 * (libstdc++ throws again what it reports, before it calls abort.) */
	if (seen->how != PF_THROW_RETHROWN || !seen->object || seen->object != own.object ||
	    type != own.type) {
		own.how = seen->how;
		own.has_stack = stack;
		own.stack = stack ? *stack : 0;
		own.raiser = seen->raiser;
	}
	own.type = type;
	own.info = seen->type;
	own.object = seen->object;
	own.header = seen->header;
	if (!own.tid)
		own.tid = (pid_t)syscall(SYS_gettid);
	if (__atomic_exchange_n(&last_lock, 1, __ATOMIC_ACQUIRE))
		return;
	if (!last.fatal)
		write_last(message, false);
	__atomic_store_n(&last_lock, 0, __ATOMIC_RELEASE);
}

PF_HOOK const void *pf_throw_last_header(void)
{
	return own.header;
}

/* Where a noexcept is met, the raising has not returned. Where nobody catches it has, and the function that raised
 * calls two more, the second of them std::terminate(). (No more bytes than that: the next function may be one of
 * those above.) */
PF_HOOK uint32_t pf_throw_last_frames_above(void)
{
	enum { AFTER_BYTES = 16 };

	/* A frame's address is the last byte of its call. */
	return own.raiser ? pf_stack_frames_to(own.raiser - 1, own.raiser + AFTER_BYTES) : 0;
}

PF_HOOK void pf_throw_last_fatal(uint32_t skip, bool handled)
{
	char message[PF_THROW_MESSAGE] = "";
	int tries = 1000;

	/* A terminate handler may have thrown and caught another since, whose object is gone. */
	if (handled)
		pf_throw_message(message, own.info, own.object);
	if (!own.has_stack) {
		own.stack = pf_stack_capture_above(skip);
		own.has_stack = true;
	}
	while (__atomic_exchange_n(&last_lock, 1, __ATOMIC_ACQUIRE))
		if (--tries == 0)
			return; /* its writer does not run: the process dies, and we with it */
		else
			syscall(SYS_sched_yield);
	if (!last.fatal)
		write_last(message, true);
	__atomic_store_n(&last_lock, 0, __ATOMIC_RELEASE);
}

/* On the thread that forked, now with another number. */
void pf_throw_last_fork_child(void)
{
	own.tid = 0;
	last_lock = 0;
	last_turns = 0;
	last = (struct last){.time_ns = 0};
}

/* ---- reading ---- */

static bool read_last(struct last *out)
{
	for (int tries = 0; tries < 1000; tries++) {
		uint32_t before = __atomic_load_n(&last_turns, __ATOMIC_ACQUIRE);

		*out = last;
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if (before % 2 == 0 && before == __atomic_load_n(&last_turns, __ATOMIC_RELAXED))
			return out->time_ns;
		sched_yield();
	}
	return false;
}

int pf_throw_last_collect(struct pf_profile *out)
{
	static const uint64_t not_sampled = PF_PC_NOT_SAMPLED;
	const uint64_t *pcs = &not_sampled;
	uint32_t count = 1;
	struct last now;
	int rc;

	if (!read_last(&now))
		return -ENODATA;
	out->time_ns = now.time_ns;
	out->leaf_is_return = true;
	pf_profile_add_type(out, "exceptions", "count");
	if (now.has_stack)
		count = pf_stack_read(now.stack, &pcs);
	pf_throw_add_sample(out, now.type, (enum pf_throw_how)now.how, pcs, count, 1);
	if (now.message[0])
		pf_profile_label_str(out, "message", now.message);
	pf_profile_label_num(out, "tid", now.tid, NULL);
	if (now.fatal)
		pf_profile_label_str(out, "state", "fatal");
	rc = pf_map_fill(out);
	return rc < 0 ? rc : out->error;
}
