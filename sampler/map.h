/* Map: the executable mappings of the process, with build ids, for every profile.
 *
 * Read from /proc/self/maps by our own threads; build ids from the ELF notes in memory, read so
 * that a module closed meanwhile cannot hurt. Rules R8, R9 of reference/pprof.md.
 */
#pragma once

struct pf_profile;

/* Adds every executable mapping, the main program first. 0 or -errno. Our own threads. */
int pf_map_fill(struct pf_profile *p);
