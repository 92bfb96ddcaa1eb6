#include "sampler/rseq.h"
#include "base/clock.h"
#include "sampler/gate.h"

#include <dlfcn.h>
#include <time.h>

enum { TRIAL_NS = 100 * PF_NS_PER_US };

ptrdiff_t pf_rseq_offset;

/* The kernel believes only descriptions whose way out has the C library's signature in front of it, and
 * ends the program otherwise. This one is never taken. */
#if defined(__x86_64__)
#define SIGNATURE "0x53053053"
#define TRAP      "ud2"
#elif defined(__aarch64__)
#define SIGNATURE "0xd428bc00"
#define TRAP      "brk #0"
#endif

#if defined(SIGNATURE)

__asm__(".pushsection .text.pf_rseq, \"ax\", %progbits\n"
	".p2align 4\n"
	".long " SIGNATURE "\n"
	"pf_rseq_out:\n" TRAP "\n"
	"pf_rseq_in:\n" TRAP "\n"
	"pf_rseq_end:\n"
	".popsection\n"
	".pushsection .data.rel.ro, \"aw\"\n"
	".p2align 5\n"
	".globl pf_rseq_never\n"
	".hidden pf_rseq_never\n"
	"pf_rseq_never:\n"
	".long 0, 0\n"
	".quad pf_rseq_in, pf_rseq_end - pf_rseq_in, pf_rseq_out\n"
	".popsection\n");

/* Does a sleep wipe the mark? A kernel need not look at it on the way out of a system call, in which
 * no sequence can be. */
static bool is_wiped_by_sleep(void)
{
	struct timespec pause = {.tv_nsec = TRIAL_NS};

	pf_rseq_mark();
	clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
	return pf_rseq_self()->cpu_id >= 0 && !pf_rseq_stays();
}

static bool stays_without_sleep(void)
{
	enum { TRIES = 100 }; /* one of them will not be interrupted */

	for (int i = 0; i < TRIES; i++) {
		pf_rseq_mark();
		if (pf_rseq_stays())
			return true;
	}
	return false;
}

static ptrdiff_t offset_by_libc(void)
{
	const ptrdiff_t *offset;
	const unsigned *size;

	pf_gate_enter();
	offset = dlsym(RTLD_DEFAULT, "__rseq_offset");
	size = dlsym(RTLD_DEFAULT, "__rseq_size");
	dlerror(); /* nobody shall find our misses */
	pf_gate_leave();
	return offset && size && *size ? *offset : 0;
}

void pf_rseq_start(void)
{
	static bool done;

	if (done)
		return;
	done = true;
	pf_rseq_offset = offset_by_libc();
	if (pf_rseq_offset && !(stays_without_sleep() && is_wiped_by_sleep()))
		pf_rseq_offset = 0;
}

#else

void pf_rseq_start(void)
{
}

#endif
