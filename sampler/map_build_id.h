/* The build id of a loaded module, from the notes in its memory. Inside map.c only. */
#pragma once
#include "base/profile.h"

#include <stdint.h>

/* Lower-case hex into `out`, or "" where there is none. `header` is where the module's ELF header
 * is in memory; 0: nowhere, and "" it is. Where the kernel refuses to read our own memory for us
 * (seccomp), the file at `path` is read if it still is the one with that inode. */
void pf_map_build_id(uint64_t header, const char *path, uint64_t inode, char out[PF_BUILD_ID_TEXT]);
