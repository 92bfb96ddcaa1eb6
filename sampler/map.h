/* Map: the executable mappings of the process, with build ids, for every profile.
 *
 * Read from /proc/self/maps by our own threads; build ids from the ELF notes in memory, read so
 * that a module closed meanwhile cannot hurt. Rules R8, R9 of reference/pprof.md.
 */
#pragma once

struct pf_profile;

/* Adds every executable mapping, the main program first; then those of closed modules whose code is in
 * the profile, which must have all its samples (map_past.h). 0 or -errno. Our own threads. */
int pf_map_fill(struct pf_profile *p);

/* Looks which modules have come and gone, and from which files those are mapped that are new. Cheap
 * when there are none. Passes the gate; our own threads. */
void pf_map_look(void);

/* In the child after fork. */
void pf_map_fork_child(void);
