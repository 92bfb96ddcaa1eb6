/* Unwind image: the bytes of a loaded module, where its unwind info lies, and whether they may
 * vanish while we read. Inside the unwinder only.
 *
 *   permanent    the main program and what it was started with: read in place, for ever
 *   closable     whatever dlopen brought. In a frame that is certain, of the calling thread's own
 *                stack, the thread will return there, so nobody may close it: read in place, and
 *                dlclose waits at the gate (pf_unwind_close_begin) all the same. A frame that may be
 *                none, or of a copied stack whose thread runs on, shows modules that may go at any
 *                moment, also past our hook: copied out by the kernel, byte run by byte run.
 *
 * Every read lies inside one loaded segment: the gaps between them are not there to be read.
 */
#pragma once
#include "base/mark.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PF_UNWIND_WINDOW = 128 };

enum pf_unwind_image_found {
	PF_UNWIND_IMAGE_NONE, /* no module there, or one without unwind info */
	PF_UNWIND_IMAGE_OK,
	PF_UNWIND_IMAGE_CLOSING,
};

struct pf_unwind_image {
	uint64_t map_low, map_high;
	uint64_t low, high; /* the segment that holds what was read last */
	uint64_t table;     /* .eh_frame_hdr */
	bool permanent;
	bool copied; /* by process_vm_readv, into `window` */
	bool held;   /* one of those the gate waits for */
	uint8_t window[PF_UNWIND_WINDOW];
};

/* The module of a code address. To be closed when OK. PF_SIGSAFE. */
enum pf_unwind_image_found pf_unwind_image_open(
    struct pf_unwind_image *image, uint64_t address, bool copied);
void pf_unwind_image_close(struct pf_unwind_image *image);

/* Is the address still, or again, in the module that was opened? PF_SIGSAFE. */
bool pf_unwind_image_is_there(const struct pf_unwind_image *image, uint64_t address);

/* For other reads of what may be a closable module: true, and no announced close happens until it is
 * let go. PF_SIGSAFE. */
bool pf_unwind_image_hold(void);
void pf_unwind_image_let_go(void);

/* `size` bytes of the module, where they are or copied to `room`; NULL where there are none. Keeps
 * image->low and high to the segment. PF_SIGSAFE. */
const void *pf_unwind_image_view(
    struct pf_unwind_image *image, uint64_t address, void *room, size_t size);

/* Does [address, address + size) lie in one segment? PF_SIGSAFE. */
bool pf_unwind_image_reach(struct pf_unwind_image *image, uint64_t address, uint64_t size);

/* Does the address lie in a permanent module? PF_SIGSAFE. */
bool pf_unwind_image_is_permanent(uint64_t address);

/* From normal code: which modules are permanent. */
void pf_unwind_image_init(void);
void pf_unwind_image_fork_child(void);
