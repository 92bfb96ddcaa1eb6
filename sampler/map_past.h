/* Map of the past: the modules that are gone, in a profile that still shows their code. */
#pragma once
#include <stdint.h>

struct pf_profile;

/* Puts every address of the profile where it belongs: into its grave (past.h) if its module went
 * while the profile was made, from generation `since` on (0: nothing was read); out of it again where
 * the same file is loaded. Adds a mapping for each grave that is in use. Our own threads. */
void pf_map_past_fill(struct pf_profile *p, uint32_t since);
