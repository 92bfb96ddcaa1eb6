/* Lookup: source lines, found by proffs-lines, a short-lived process of ours.
 *
 *     a drawing with lines --asked, a memfd--> proffs-lines --answer, a memfd--> the same drawing
 *
 * libdw would take hundreds of MiB of the watched program's memory and map files that may be cut
 * under it (doc/decisions/0006). What is found is remembered, so most drawings start no process.
 * One at a time: whoever comes second waits, and finds most of it known.
 *
 * Any thread of ours but the one that serves; no lock is held.
 */
#pragma once
#include <limits.h>
#include <stdint.h>

struct pf_lines;
struct pf_profile;

struct pf_lookup {
	char program[PATH_MAX]; /* "": not installed */
	uint32_t turn;          /* atomic, futex: 1 somebody is at it */
	struct pf_lines *lines; /* whose turn it is */
};

/* 0 or -ENOMEM. */
int pf_lookup_init(struct pf_lookup *lookup);
void pf_lookup_finish(struct pf_lookup *lookup); /* zeroed memory is fine */

/* Where proffs-lines is; NULL: nowhere, and there are no lines. Before the first take. */
void pf_lookup_set_program(struct pf_lookup *lookup, const char *program);

/* As pf_lines_take() (render.h): may take seconds. 0 or -ENOMEM; pf_lines_finish(out) in either
 * case. */
int pf_lookup_take(struct pf_lookup *lookup, const struct pf_profile *in, struct pf_profile *out);
