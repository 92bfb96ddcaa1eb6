#include "fs/focus.h"
#include "base/buf.h"

#include <ctype.h>
#include <errno.h>
#include <regex.h>
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
	bool *matches = calloc(p->location_count + 1, sizeof(*matches));

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

	out->samples = calloc(in->sample_count + 1, sizeof(*out->samples));
	for (size_t i = 0; matches && out->samples && i < in->sample_count; i++)
		if (sample_matches(in, &in->samples[i], matches, regex))
			out->samples[out->sample_count++] = in->samples[i];
	free(matches);
	return matches && out->samples ? 0 : -ENOMEM;
}

/* The comments of `in`, and one more. */
static int say_so(const struct pf_profile *in, const char *pattern, struct pf_profile *out)
{
	const char **comments = calloc(in->comment_count + 1, sizeof(*comments));
	char *said = NULL;

	if (!comments || asprintf(&said, "focus %s: %zu of %zu stacks", pattern, out->sample_count,
			     in->sample_count) < 0) {
		free(comments);
		return -ENOMEM;
	}
	for (size_t i = 0; i < in->comment_count; i++)
		comments[i] = in->comments[i];
	comments[in->comment_count] = said;
	out->comments = comments;
	out->comment_count = in->comment_count + 1;
	return 0;
}

int pf_focus_take(const struct pf_profile *in, const char *pattern, struct pf_profile *out)
{
	regex_t regex;
	int rc = compile(&regex, pattern);

	*out = *in;
	out->samples = NULL;
	out->sample_count = 0;
	out->comments = NULL;
	out->comment_count = 0;
	if (rc < 0)
		return rc;
	rc = take_samples(in, &regex, out);
	regfree(&regex);
	return rc == 0 ? say_so(in, pattern, out) : rc;
}

void pf_focus_finish(struct pf_profile *out)
{
	if (out->comments)
		free((char *)out->comments[out->comment_count - 1]);
	free(out->comments);
	free(out->samples);
	out->comments = NULL;
	out->samples = NULL;
}
