/* Labels: what the program says about its threads, on every sample of them.
 *
 * A thread has a set of up to eight keys with one value each. A set is immutable and stored once;
 * a thread carries its number, so a handler copies one word and a new thread inherits by the same
 * word. Full store: the thread keeps the set it has, counted.
 */
#pragma once
#include <stdint.h>

struct pf_buf;
struct pf_profile;

enum { PF_LABEL_KEYS_MAX = 8, PF_LABEL_TEXT_MAX = 64 };

/* pf_label_set() and pf_label_clear() are in sampler.h: the program calls them. */

/* Labels the sample added last with this set (0: none). */
void pf_label_fill(uint32_t set, struct pf_profile *profile);

/* For people: one line KEY=VALUE each, without control characters. */
void pf_label_print(uint32_t set, struct pf_buf *out);

/* In the child after fork: the store is kept, its lock is free. PF_SIGSAFE. */
void pf_label_fork_child(void);
