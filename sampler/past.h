/* Past: which module was where, and when; so that a stack keeps its names when its library goes.
 *
 * Time is counted in generations: one more at every look at the loader's list (past_look.h), and one
 * before each dlclose. A stack is stored with the generation it was taken in.
 *
 *   address 0x7f10..0x7f18   |--- libold.so ---|      |-- libnew.so --------->
 *   generation               3                 8      9
 *
 * A stack of generation 5 that has 0x7f11 in it means libold.so for ever. Addresses of modules that
 * are gone are shown in another place, their grave: one for each file, where nothing else is, so
 * that a profile may show both libraries. Between two looks nobody knows the order of things: if two
 * modules may have been at an address, it belongs to neither.
 */
#pragma once
#include "base/mark.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Graves are at addresses that no kernel gives to mmap unasked. */
#define PF_PAST_GRAVES_LOW  0x200000000000ull
#define PF_PAST_GRAVES_HIGH 0x280000000000ull

enum { PF_PAST_BUILD_ID = 20, PF_PAST_NAME_MAX = 4096 };

/* One executable segment of a file. */
struct pf_past_file {
	uint64_t hash; /* of all the rest: the same hash is the same file */
	uint64_t offset, size;
	const char *name; /* as the loader has it */
	uint8_t build_id[PF_PAST_BUILD_ID];
	uint32_t build_id_size;
};

extern uint32_t pf_past_generation; /* atomic; from 1 on */
extern uint32_t pf_past_last_end;   /* atomic: the last generation in which a module ended */

/* PF_SIGSAFE. */
PF_INLINE uint32_t pf_past_now(void)
{
	return __atomic_load_n(&pf_past_generation, __ATOMIC_ACQUIRE);
}

/* Has a module ended in this generation or a later one? If not, every address taken then still is
 * what it was. PF_SIGSAFE. */
PF_INLINE bool pf_past_ended_since(uint32_t generation)
{
	return __atomic_load_n(&pf_past_last_end, __ATOMIC_ACQUIRE) >= generation;
}

/* Where the code is shown that was at `pc` between two generations: at `pc`, in a grave, or
 * PF_PC_UNKNOWN. PF_SIGSAFE. */
uint64_t pf_past_place(uint64_t pc, uint32_t first, uint32_t last);

/* Were these addresses the same code in both generations? PF_SIGSAFE. */
bool pf_past_same(const uint64_t *pcs, uint32_t count, uint32_t one, uint32_t other);

/* ---- for past_look.c, under the loader's lock; PF_HOOK ---- */

/* A look begins; false: nothing has been opened or closed since the last one. */
bool pf_past_look_begin(uint64_t opened, uint64_t closed, uint32_t *look);
void pf_past_look_see(uint32_t look, uint64_t start, const struct pf_past_file *file);
/* Whatever was not seen is gone. The loader's lock need not be held any more. */
void pf_past_look_end(uint32_t look);
/* A module may begin to end from now on. */
void pf_past_step(void);

/* ---- for map_past.c; our own threads ---- */

/* The number of the file whose grave the address is in, or 0. */
uint32_t pf_past_file_at(uint64_t address);
/* A file by number, and its path ("": not known yet). */
const struct pf_past_file *pf_past_file(uint32_t number, const char **path);
uint64_t pf_past_grave(uint32_t number);
/* Where it is loaded now, or 0. */
uint64_t pf_past_loaded_at(uint32_t number);
/* Is there a loaded file whose path is not known? */
bool pf_past_wants_paths(void);
/* A file is mapped from this path at `start`: noted if that is a module's and new. */
void pf_past_learn_path(uint64_t start, const char *path);

/* In the child after fork. PF_SIGSAFE. */
void pf_past_fork_child(void);
