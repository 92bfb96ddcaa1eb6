#include "fs/focus.h"
#include "base/buf.h"
#include "base/memory.h"
#include "base/sort.h"

#include <ctype.h>
#include <errno.h>
#include <regex.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A pattern's states are multiplied by its {n}: all of them together may not exceed this. */
enum { REPEAT_MAX = 100 };

/* ---- patterns ---- */

/* Of what stands behind a '{': 40 for "3,40}". */
static unsigned long largest_bound(const char *at)
{
	unsigned long largest = 1;

	while (isdigit((unsigned char)*at) || *at == ',') {
		char *end = (char *)at + 1;
		unsigned long bound = *at == ',' ? 0 : strtoul(at, &end, 10);

		largest = bound > largest ? bound : largest;
		at = end;
	}
	return largest;
}

/* More than our host's memory and time are worth: many repetitions, and back references, which
 * extended expressions do not have and glibc matches by trying everything. A \{ is counted, too. */
static bool too_dear(const char *pattern)
{
	unsigned long product = 1;

	for (const char *at = pattern; *at; at++) {
		unsigned long bound = *at == '{' ? largest_bound(at + 1) : 1;

		if (at[0] == '\\' && isdigit((unsigned char)at[1]))
			return true;
		if (at[0] == '\\' && at[1] == '\\')
			at++;
		if (bound > REPEAT_MAX / product)
			return true;
		product *= bound;
	}
	return false;
}

static int compile(regex_t *out, const char *pattern)
{
	int rc = too_dear(pattern) ? REG_BADBR : regcomp(out, pattern, REG_EXTENDED | REG_NOSUB);

	if (rc == REG_ESPACE)
		return -ENOMEM;
	return rc ? -EINVAL : 0;
}

int pf_focus_check(const char *pattern)
{
	regex_t regex;
	int rc = compile(&regex, pattern);

	if (rc == 0)
		regfree(&regex);
	return rc;
}

/* ---- samples ---- */

static bool location_matches(
    const struct pf_profile *p, const struct pf_location *l, const regex_t *regex)
{
	for (uint32_t i = 0; i < l->line_count; i++)
		if (regexec(regex, p->lines[l->line_first + i].function, 0, NULL, 0) == 0)
			return true;
	return false;
}

/* One answer per location: a function is on many stacks. NULL: no memory. */
static bool *match_locations(const struct pf_profile *p, const regex_t *regex)
{
	bool *matches = pf_memory_new(p->location_count + 1, sizeof(*matches));

	for (size_t i = 0; matches && i < p->location_count; i++)
		matches[i] = location_matches(p, &p->locations[i], regex);
	return matches;
}

static bool sample_matches(const struct pf_profile *p, const struct pf_sample *s,
    const bool *matches, const regex_t *regex)
{
	for (uint32_t i = 0; i < s->pc_count; i++) {
		uint64_t pc = p->pcs[s->pc_first + i];
		const struct pf_location *l = pf_profile_location(p, pc);
		const char *marker = pf_pc_marker_name(pc);

		if (marker ? regexec(regex, marker, 0, NULL, 0) == 0
			   : l && matches[l - p->locations])
			return true;
	}
	return false;
}

static int take_samples(const struct pf_profile *in, const regex_t *regex, struct pf_profile *out)
{
	bool *matches = match_locations(in, regex);

	out->samples = pf_memory_new(in->sample_count + 1, sizeof(*out->samples));
	for (size_t i = 0; matches && out->samples && i < in->sample_count; i++)
		if (sample_matches(in, &in->samples[i], matches, regex))
			out->samples[out->sample_count++] = in->samples[i];
	pf_memory_free(matches);
	return matches && out->samples ? 0 : -ENOMEM;
}

/* ---- stacks that are large enough ---- */

struct stacks {
	const struct pf_profile *in;
	uint32_t type;
};

static int by_stack(const void *a, const void *b, void *stacks)
{
	const uint64_t *pcs = ((const struct stacks *)stacks)->in->pcs;
	const struct pf_sample *x = a, *y = b;

	if (x->pc_count != y->pc_count)
		return x->pc_count < y->pc_count ? -1 : 1;
	return memcmp(pcs + x->pc_first, pcs + y->pc_first, x->pc_count * sizeof(*pcs));
}

/* Drops the samples of stacks that have less; returns how many stacks there were. */
static size_t drop_small(struct pf_profile *out, uint32_t type, int64_t least)
{
	struct stacks stacks = {.in = out, .type = type};
	size_t kept = 0, count = 0, end;

	pf_sort_with(out->samples, out->sample_count, sizeof(*out->samples), by_stack, &stacks);
	for (size_t first = 0; first < out->sample_count; first = end, count++) {
		int64_t value = 0;

		for (end = first; end < out->sample_count &&
				  by_stack(&out->samples[first], &out->samples[end], &stacks) == 0;
		     end++)
			value += out->samples[end].value[type];
		if (llabs(value) < least)
			continue;
		memmove(&out->samples[kept], &out->samples[first],
		    (end - first) * sizeof(*out->samples));
		kept += end - first;
	}
	out->sample_count = kept;
	return count;
}

/* ---- what is left out is said ---- */

enum { SAID_MAX = 2 };

/* Room for the comments of `in`, and ours, which are the last `said` ones. */
static int copy_comments(const struct pf_profile *in, struct pf_profile *out)
{
	out->comments = pf_memory_new(in->comment_count + SAID_MAX, sizeof(*out->comments));
	if (!out->comments)
		return -ENOMEM;
	for (size_t i = 0; i < in->comment_count; i++)
		out->comments[i] = in->comments[i];
	out->comment_count = in->comment_count;
	out->comment_capacity = in->comment_count; /* behind it, ours begin */
	return 0;
}

static int say(struct pf_profile *out, const char *format, ...) PF_PRINTF(2, 3);
static int say(struct pf_profile *out, const char *format, ...)
{
	char *said;
	va_list args;
	int rc;

	va_start(args, format);
	rc = vasprintf(&said, format, args);
	va_end(args);
	if (rc < 0)
		return -ENOMEM;
	out->comments[out->comment_count++] = said;
	return 0;
}

static int take_matching(const struct pf_profile *in, const char *pattern, struct pf_profile *out)
{
	regex_t regex;
	int rc = compile(&regex, pattern);

	if (rc < 0)
		return rc;
	rc = take_samples(in, &regex, out);
	regfree(&regex);
	if (rc == 0)
		rc = say(out, "focus %s: %zu of %zu stacks", pattern, out->sample_count,
		    in->sample_count);
	return rc;
}

static int take_all(const struct pf_profile *in, struct pf_profile *out)
{
	out->samples = pf_memory_new(in->sample_count + 1, sizeof(*out->samples));
	if (!out->samples)
		return -ENOMEM;
	memcpy(out->samples, in->samples, in->sample_count * sizeof(*out->samples));
	out->sample_count = in->sample_count;
	return 0;
}

bool pf_focus_wanted(const struct pf_query *query)
{
	return *query->focus || query->least;
}

int pf_focus_take(const struct pf_profile *in, const struct pf_query *query, uint32_t type,
    struct pf_profile *out)
{
	int rc;

	*out = *in;
	out->samples = NULL;
	out->sample_count = 0;
	out->comments = NULL;
	out->comment_count = 0;
	rc = copy_comments(in, out);
	if (rc == 0 && *query->focus)
		rc = take_matching(in, query->focus, out);
	else if (rc == 0)
		rc = take_all(in, out);
	if (rc == 0 && query->least && type < in->type_count) {
		size_t before = out->sample_count, stacks = drop_small(out, type, query->least);

		rc = say(out, "min %lld: %zu of %zu samples, of %zu stacks",
		    (long long)query->least, out->sample_count, before, stacks);
	}
	return rc;
}

void pf_focus_finish(struct pf_profile *out)
{
	for (size_t i = out->comment_capacity; out->comments && i < out->comment_count; i++)
		free((char *)out->comments[i]);
	pf_memory_free(out->comments);
	pf_memory_free(out->samples);
	out->comments = NULL;
	out->samples = NULL;
}
