/* Numbers: what `stats` and `metrics` say, collected once and drawn in several forms.
 *
 * One owner. Adding never fails in the caller's face: the first -errno sticks in `error`. Strings
 * are literals or outlive the list; what is made at run time goes to `text`.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PF_NUMBER_TEXT = 64 };

struct pf_number {
	const char *key; /* in stats: "rss_bytes"; NULL: not in there */
	const char
	    *metric; /* family in metrics: "process_resident_memory_bytes"; NULL: not in there */
	const char *label; /* in metrics, name and value: {mode="user"}; NULL: none */
	const char *label_value;
	const char *unit; /* "bytes", "seconds"; NULL: a count of things */
	const char *help;
	bool counter;              /* only grows; else a gauge */
	int64_t value;             /* in units of 1/per; not used where there is text */
	int64_t per;               /* 0 is 1 */
	char text[PF_NUMBER_TEXT]; /* instead of a value, in stats only */
};

struct pf_numbers {
	struct pf_number *at;
	size_t count, capacity;
	int error; /* 0 or the first -errno */
};

void pf_numbers_finish(struct pf_numbers *numbers); /* frees, zeroes */
void pf_numbers_add(struct pf_numbers *numbers, const struct pf_number *number);
