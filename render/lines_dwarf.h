/* DWARF: source lines and inlined functions of one file, by address.
 *
 * One walk for all addresses of a compilation unit:
 *
 *     unit        found by the table of all units' address ranges (made here: .debug_aranges is
 *                 not written by clang and rustc)
 *     line        from the unit's line table
 *     functions   down the unit's tree, only where an address lies: subprogram > inlined > inlined
 *
 * libdw maps the files and allocates as it likes, so this runs in a process of its own
 * (lines_program.c) or in a command, never inside the watched program.
 */
#pragma once
#include "base/profile.h"

struct pf_dwarf;

/* The debug information of the file at `path`, which must have this build id (unless either has
 * none): in it, or in its separate debug file. `seen_at`: where to open it, `path`, or what must have
 * the build id. 0; -ENODATA there is none; -ESTALE another file is there now; -ENOMEM; what open()
 * says. */
int pf_dwarf_open(struct pf_dwarf **out, const char *path, const char *seen_at,
    const char *build_id, const char *debug_root);
void pf_dwarf_close(struct pf_dwarf *dwarf); /* takes NULL */

/* The frames of asked address number `index`: innermost first, the last is the function itself.
 * Names are as linked; `function` may be "" in the last one: not known. Files without a leading
 * slash are in `directory`. */
typedef void pf_dwarf_found_fn(
    void *to, size_t index, const struct pf_line *lines, size_t line_count, const char *directory);

/* Calls found() once for each of the file's offsets that is known about, in any order. 0 or
 * -ENOMEM. */
int pf_dwarf_find(struct pf_dwarf *dwarf, const uint64_t *offsets, size_t count,
    pf_dwarf_found_fn *found, void *to);
