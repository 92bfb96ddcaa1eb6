/* Make: from a name to its bytes. Collect, name, draw; or print. Takes its time: our own threads,
 * never the one that serves, with no lock held.
 */
#pragma once
#include "fs/tree.h"

struct pf_live;
struct pf_snapshot;

/* A profile with names. Instant, over a window, or (seconds of an instant one) the difference of
 * two moments, as Go's ?seconds=. 0 or -errno; pf_profile_finish(out) in either case. */
int pf_make_profile(struct pf_live *live, enum pf_source source, const struct pf_query *query,
    struct pf_wait *wait, struct pf_profile *out);

/* The table's row of a source. */
const struct pf_profile_row *pf_make_row(enum pf_source source);

/* Draws a profile as the object wants it: 0 and *out held by the caller, or -errno. Sleeps while
 * lines are looked up. */
int pf_make_drawing(struct pf_live *live, const struct pf_object *object,
    const struct pf_profile *p, struct pf_snapshot **out);
/* Equal for objects whose drawings of one profile are equal. */
uint64_t pf_make_which(const struct pf_object *object);

/* Adds to a profile, as comments, what Go's heap has at the end of its debug=1. */
void pf_make_footer(struct pf_live *live, const struct pf_object *object, struct pf_profile *p);

/* Does its text end with where all of the process's memory is? Then the collector is to say it. */
bool pf_make_wants_balance(const struct pf_object *object);

/* Prints a row that is no profile: 0 and *out held by the caller, or -errno. */
int pf_make_print(struct pf_live *live, const struct pf_object *object, struct pf_snapshot **out);
