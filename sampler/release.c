#include "sampler/release.h"
#include "base/buf.h"
#include "base/mark.h"
#include "base/resident.h"
#include "sampler/boehm.h"
#include "sampler/gate.h"
#include "sampler/real.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* ---- the allocators: each knows one function ---- */

static void ask_glibc(void *function)
{
	((int (*)(size_t))function)(0); /* malloc_trim: keep nothing in reserve */
}

static void ask_jemalloc(void *function)
{
	/* MALLCTL_ARENAS_ALL of jemalloc/jemalloc.h: every arena, decayed or not. */
	((int (*)(const char *, void *, size_t *, void *, size_t))function)(
	    "arena.4096.purge", NULL, NULL, NULL, 0);
}

static void ask_tcmalloc(void *function)
{
	((void (*)(void))function)(); /* MallocExtension_ReleaseFreeMemory */
}

static void ask_mimalloc(void *function)
{
	((void (*)(bool))function)(true); /* mi_collect: also what it would keep for later */
}

static const struct allocator {
	const char *name;
	const char *symbol;
	void (*ask)(void *function);
} allocators[] = {
    {"glibc", "malloc_trim", ask_glibc},
    {"jemalloc", "mallctl", ask_jemalloc},
    {"tcmalloc", "MallocExtension_ReleaseFreeMemory", ask_tcmalloc},
    {"mimalloc", "mi_collect", ask_mimalloc},
};

static void say(struct pf_buf *said, const char *asked, int64_t before, int64_t after)
{
	if (!said)
		return;
	if (asked[0] == '\0')
		pf_buf_str(said, "no allocator that can be asked; ");
	else
		pf_buf_printf(said, "asked %s; ", asked);
	if (before < 0 || after < 0)
		pf_buf_str(said, "resident memory not known\n");
	else
		pf_buf_printf(said, "resident memory %lld KiB before, %lld KiB after\n",
		    (long long)before / 1024, (long long)after / 1024);
}

/* ---- the program's own collector ---- */

static void (*own_collect)(void); /* atomic */

void pf_release_on_gc(void (*collect)(void))
{
	__atomic_store_n(&own_collect, collect, __ATOMIC_RELEASE);
}

/* First, so that what it frees can be given back. */
static size_t ask_program(char *asked, size_t size)
{
	void (*collect)(void) = __atomic_load_n(&own_collect, __ATOMIC_ACQUIRE);

	if (!collect)
		return 0;
	collect();
	return (size_t)snprintf(asked, size, "the program");
}

int pf_release_memory(bool collect, struct pf_buf *said, struct pf_wait *wait)
{
	int64_t before = pf_resident_bytes();
	char asked[80] = "";
	size_t length = collect ? ask_program(asked, sizeof(asked)) : 0;
	/* Who names a hook does there what its collector needs. */
	int rc = collect && !length ? pf_boehm_collect(said, wait) : -ENOENT;

	if (rc == 0)
		length = (size_t)snprintf(asked, sizeof(asked), "Boehm's collector");
	else if (rc == -EINTR)
		return rc;
	for (size_t i = 0; i < PF_COUNT(allocators); i++) {
		void *function;

		pf_gate_enter();
		function = pf_real_find(allocators[i].symbol);
		pf_gate_leave();
		if (!function)
			continue;
		allocators[i].ask(function);
		length += (size_t)snprintf(asked + length, sizeof(asked) - length, "%s%s",
		    length ? ", " : "", allocators[i].name);
	}
	say(said, asked, before, pf_resident_bytes());
	if (rc < 0 && rc != -ENOENT && rc != -EOPNOTSUPP)
		return rc;
	return said ? said->error : 0;
}
