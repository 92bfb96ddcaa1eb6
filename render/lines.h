/* Lines: what is asked of proffs-lines, and what it answers. Both are texts that end with a NUL,
 * one behind the other:
 *
 *     asked     "/usr/lib/debug"  "m<build id>" "<path>" "o<path>"...  "a<offset>" "a<offset>"...  "m"...
 *     answered  "f<number>"  "l<line> <start line>" "<function>" "<system name>" "<file>"  "l"...
 *               "none<number>"  "gone<number>"
 *
 * After "o" stands where the kernel still has the file when another one was put in its place, which only
 * an equal build id makes safe to believe.
 * Offsets are hexadecimal, of the file. <number> counts what was asked for: addresses after "f",
 * modules after "none" (there is no debug information for it) and "gone" (nor the file itself). What is not known is not mentioned.
 * An answer that was cut off is good up to there.
 */
#pragma once
#include "base/buf.h"

/* A run of texts; the next one, or NULL at the end (a text without its NUL does not count). */
struct pf_lines_texts {
	const char *at;
	size_t left;
};
const char *pf_lines_next(struct pf_lines_texts *texts);

/* Answers for the next module of what was asked for: 1; 0 at its end; -ENOMEM. */
struct pf_demangler;
struct pf_lines_request {
	struct pf_lines_texts texts;
	const char *debug_root;
	const char *pending; /* a text already taken */
	size_t addresses, modules;
	struct pf_demangler *demangler;
};
void pf_lines_begin(struct pf_lines_request *request, const void *asked, size_t length);
int pf_lines_answer(struct pf_lines_request *request, struct pf_buf *answer);
void pf_lines_end(struct pf_lines_request *request);
