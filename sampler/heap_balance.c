#include "sampler/heap_balance.h"
#include "base/clock.h"
#include "base/knob.h"
#include "sampler/allocator.h"
#include "sampler/residence.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct sum {
	struct pf_profile *out;
	int64_t bytes;
};

static void line(struct sum *sum, int64_t bytes, const char *what)
{
	pf_profile_note(sum->out, "%15lld  %s", (long long)bytes, what);
	sum->bytes += bytes;
}

/* The allocator's own account: what it has given out beyond what was sampled, and what it keeps.
 * Returns how much it says it has in all. */
static int64_t allocator_lines(struct sum *sum, int64_t sampled)
{
	struct pf_allocator is;
	int rc = pf_allocator_look(&is);
	double age;

	if (rc < 0 || is.system_bytes < 0) {
		pf_profile_note(sum->out,
		    "%15s  allocator overhead and free lists: %s; they are in the next line", "?",
		    rc == -ETIMEDOUT ? "the allocator did not answer in time"
				     : "this allocator is not to be asked");
		return sampled;
	}
	if (is.in_use_bytes < 0) {
		line(sum, is.system_bytes - sampled,
		    "allocator overhead and free lists: what it has from the kernel beyond that");
	} else {
		line(sum, is.in_use_bytes - sampled,
		    "allocator overhead: headers, rounding up, threads' caches; blocks that the "
		    "profile has not seen (older than it, or the agent's own), and its error");
		line(sum, is.system_bytes - is.in_use_bytes,
		    "free lists: freed by the program and kept by the allocator, or never given out");
	}
	age = (double)(pf_clock_now_ns() - is.time_ns) / PF_NS_PER_SECOND;
	if (age >= 1)
		pf_profile_note(sum->out, "%15s  (says %s, asked %.0f s ago)", "", is.name, age);
	else
		pf_profile_note(sum->out, "%15s  (says %s)", "", is.name);
	return is.system_bytes;
}

/* Of the samples whose memory is the allocator's: mappings have their place below. */
static int64_t sampled_from_malloc(const struct pf_profile *p)
{
	int64_t bytes = 0;

	for (size_t i = 0; i < p->sample_count; i++) {
		const struct pf_sample *s = &p->samples[i];
		bool from_malloc = true;

		for (uint32_t k = 0; k < s->label_count; k++) {
			const struct pf_label *l = &p->labels[s->label_first + k];

			if (l->str && strcmp(l->key, "kind") == 0)
				from_malloc = strcmp(l->str, "malloc") == 0;
		}
		if (from_malloc)
			bytes += s->value[p->type_count - 1];
	}
	return bytes;
}

void pf_heap_balance(struct pf_profile *out)
{
	int64_t sampled = sampled_from_malloc(out);
	struct sum sum = {.out = out};
	struct pf_residence is;
	int rc = pf_residence_read(&is);
	int64_t claimed;
	char stacks[64];

	pf_profile_note(out, "where resident memory is: bytes that add up to VmRSS, of one moment");
	if (rc < 0) {
		pf_profile_note(out, "not known: /proc/self/smaps: %s", strerror(-rc));
		return;
	}
	line(&sum, sampled,
	    pf_knob_get(PF_KNOB_HEAP_SAMPLE_BYTES) == 1
		? "heap in use: every block since the heap is on"
		: "heap in use, estimated from samples: as much as was asked for");
	claimed = allocator_lines(&sum, sampled);
	line(&sum, is.bytes[PF_RESIDENCE_ANONYMOUS] - claimed,
	    "other anonymous memory: mappings of the program's own, less what of all the above is "
	    "not resident (never touched, or swapped out)");
	snprintf(stacks, sizeof(stacks), "stacks of %u thread%s", is.threads,
	    is.threads == 1 ? "" : "s");
	line(&sum, is.bytes[PF_RESIDENCE_STACK], stacks);
	line(&sum, is.bytes[PF_RESIDENCE_FILE],
	    "mapped files: programs, libraries, data; with their variables");
	line(&sum, is.bytes[PF_RESIDENCE_OURS],
	    "the agent's own: tables, variables, threads' stacks");
	line(&sum, is.total - sum.bytes,
	    "the rest: the kernel's pages, and what changed or was not yet counted meanwhile");
	pf_profile_note(out, "%15lld  VmRSS", (long long)is.total);
}
