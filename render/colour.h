/* Colours: which one a module's frames have, in every picture.
 *
 * The program itself, the C library and what is no code have their own. The others get one by their
 * name, so that a library keeps its colour from one profile to the next; two that want the same one
 * get neighbours, in the order of their names.
 */
#pragma once
#include "render/frame.h"

enum { PF_COLOUR_COUNT = 16 };

struct pf_colour {
	const char *light, *dark; /* "#rrggbb", to be written on in a dark or a light colour */
};

extern const struct pf_colour pf_colour_palette[PF_COLOUR_COUNT];

struct pf_colours {
	const char **modules; /* sorted, each once */
	uint8_t *colour;      /* of each, into the palette */
	size_t count;
};

/* The modules of all frames: 0 or -ENOMEM; to be finished in both cases. */
int pf_colours_init(struct pf_colours *colours, const struct pf_frames *frames);
void pf_colours_finish(struct pf_colours *colours);

/* The number of a module that some frame is of. */
uint32_t pf_colours_module(const struct pf_colours *colours, const char *module);
