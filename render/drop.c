/* Drop: what the reader of a profile need not see, by the profile's own `drop_frames`.
 *
 *     main  make  push_back  operator new  malloc      main  make  push_back
 *                            ^ dropped, and all below it
 *
 * As `go tool pprof` does it with the same field (reference rule R14), so that texts and pictures
 * say what it says: a function matches by its whole name, up to its parameters; the frame goes, and
 * everything it called; but nothing goes before the first frame from the root that stays.
 */
#include "base/buf.h"
#include "base/mark.h"
#include "base/memory.h"
#include "render/render.h"

#include <errno.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What happens to a stack at a location. */
enum verdict {
	STAYS,
	BENEATH, /* its outermost functions stay, what they called goes */
	GOES,
};

/* "^(...)$": the whole name. */
static int compile(regex_t *out, const char *pattern)
{
	char *whole;
	int rc;

	if (asprintf(&whole, "^(%s)$", pattern) < 0)
		return -ENOMEM;
	rc = regcomp(out, whole, REG_EXTENDED | REG_NOSUB);
	free(whole);
	return rc == REG_ESPACE ? -ENOMEM : rc ? -EINVAL : 0;
}

/* What of a name at `at` is no beginning of parameters although it has a "(": its length, or 0. */
static size_t part_length(const char *at)
{
	static const char *const parts[] = {"(anonymous namespace)", "operator()"};

	for (size_t i = 0; i < PF_COUNT(parts); i++)
		if (strncmp(at, parts[i], strlen(parts[i])) == 0)
			return strlen(parts[i]);
	return 0;
}

/* Up to where the parameters begin. */
static size_t name_length(const char *function)
{
	const char *at = function;
	size_t part;

	for (; *at; at += part ? part : 1) {
		part = part_length(at);
		if (!part && *at == '(')
			break;
	}
	return (size_t)(at - function);
}

static int matches(const regex_t *regex, const char *function, bool *out)
{
	char *name = strndup(function, name_length(function));

	if (!name)
		return -ENOMEM;
	*out = *name && regexec(regex, name, 0, NULL, 0) == 0;
	free(name);
	return 0;
}

/* The outermost line that matches cuts the location below it. 0 or -ENOMEM. */
static int judge(const struct pf_profile *in, const regex_t *regex, struct pf_location *location,
    enum verdict *out)
{
	*out = STAYS;
	for (uint32_t i = location->line_count; i-- > 0;) {
		bool goes = false;
		int rc = matches(regex, in->lines[location->line_first + i].function, &goes);

		if (rc < 0)
			return rc;
		if (!goes)
			continue;
		*out = i + 1 == location->line_count ? GOES : BENEATH;
		if (*out == BENEATH) {
			location->line_first += i + 1;
			location->line_count -= i + 1;
		}
		return 0;
	}
	return 0;
}

static enum verdict verdict_at(
    const struct pf_profile *in, const enum verdict *verdicts, uint64_t address)
{
	const struct pf_location *l = pf_profile_location(in, address);

	return l && !pf_pc_marker_name(address) ? verdicts[l - in->locations] : STAYS;
}

static void cut(const struct pf_profile *in, const enum verdict *verdicts, struct pf_sample *s)
{
	bool stayed = false;

	for (uint32_t i = s->pc_count; i-- > 0;) {
		enum verdict verdict = verdict_at(in, verdicts, in->pcs[s->pc_first + i]);
		uint32_t gone = verdict == GOES ? i + 1 : i;

		if (verdict == STAYS || !stayed) {
			stayed |= verdict == STAYS;
			continue;
		}
		s->pc_first += gone;
		s->pc_count -= gone;
		return;
	}
}

static int take(const struct pf_profile *in, const regex_t *regex, struct pf_profile *out)
{
	enum verdict *verdicts = pf_memory_new(in->location_count + 1, sizeof(*verdicts));
	int rc = verdicts ? 0 : -ENOMEM;

	for (size_t i = 0; i < in->location_count && rc == 0; i++)
		rc = judge(in, regex, &out->locations[i], &verdicts[i]);
	for (size_t i = 0; i < in->sample_count && rc == 0; i++)
		cut(in, verdicts, &out->samples[i]);
	pf_memory_free(verdicts);
	return rc;
}

int pf_drop_take(const struct pf_profile *in, struct pf_profile *out)
{
	regex_t regex;
	int rc = in->drop_frames ? compile(&regex, in->drop_frames) : -EINVAL;

	*out = *in;
	out->samples = NULL;
	out->locations = NULL;
	out->sample_capacity = out->location_capacity = 0;
	if (pf_vec_reserve((void **)&out->samples, &out->sample_capacity, sizeof(*out->samples),
		in->sample_count) < 0 ||
	    pf_vec_reserve((void **)&out->locations, &out->location_capacity,
		sizeof(*out->locations), in->location_count) < 0) {
		if (rc == 0)
			regfree(&regex);
		return -ENOMEM;
	}
	if (in->sample_count)
		memcpy(out->samples, in->samples, in->sample_count * sizeof(*in->samples));
	if (in->location_count)
		memcpy(out->locations, in->locations, in->location_count * sizeof(*in->locations));
	if (rc < 0)
		return rc == -ENOMEM ? rc : 0;
	rc = take(in, &regex, out);
	regfree(&regex);
	return rc;
}

void pf_drop_finish(struct pf_profile *out)
{
	pf_vec_free(out->samples, out->sample_capacity, sizeof(*out->samples));
	pf_vec_free(out->locations, out->location_capacity, sizeof(*out->locations));
	out->samples = NULL;
	out->locations = NULL;
	out->sample_count = out->location_count = 0;
}
