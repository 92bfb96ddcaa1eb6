/* Jit: names of code that was made at run time, from the file in which runtimes tell them to
 * profilers: /tmp/perf-PID.map (node --perf-basic-prof, java with perf-map-agent, python -X perf...).
 *
 *     7f12a0001000 80 LazyCompile:~handle /srv/app.js:12      start, size, name
 *
 * Read on when it has grown: runtimes append. Only a file of our own user or root is believed; how
 * much of it, is bounded. Not thread-safe, as struct pf_symbols, whose part it is.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

struct pf_jit;

struct pf_jit *pf_jit_create(const char *path); /* NULL: no memory */
void pf_jit_destroy(struct pf_jit *jit);        /* takes NULL */

/* Reads what was appended since. Once before a row of finds. */
void pf_jit_refresh(struct pf_jit *jit);

/* The function that was last said to have this address, or NULL. Lives until the next refresh. */
const char *pf_jit_find(const struct pf_jit *jit, uint64_t address);

size_t pf_jit_bytes(const struct pf_jit *jit);
