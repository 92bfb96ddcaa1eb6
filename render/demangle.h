/* Demangle: names as a programmer wrote them, from names as the linker has them.
 *
 * C++ (Itanium) and Rust (legacy and v0). Without parameters: `cart::Cart<int>::add`, which is what
 * pprof shows by default and what its patterns match; the linker's name stays beside it.
 *
 * Names are input from outside: a demangler recurses once or more per letter, so it runs on a
 * stack of its own, as deep as the name is long.
 */
#pragma once
#include <stdbool.h>

struct pf_buf;

/* Longer ones stay as they are: real ones of 10 KiB exist. */
enum { PF_DEMANGLE_LENGTH_MAX = 16 * 1024 };

struct pf_demangler;

struct pf_demangler *pf_demangler_create(void); /* NULL: no memory */
void pf_demangler_destroy(struct pf_demangler *demangler);

/* Appends the name for people: true. Nothing to demangle, or not possible: false, nothing is
 * appended. */
bool pf_demangle(struct pf_demangler *demangler, const char *name, struct pf_buf *out);
