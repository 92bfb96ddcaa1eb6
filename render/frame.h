/* Frames: a profile's stacks as readers see them, functions of modules instead of addresses.
 *
 *     address --place--> one or more frames (inlined ones first) --> function, module
 *
 * Two addresses in one function are one frame (unless lines are asked for). Samples whose stacks show the same frames are a
 * group. The profile stays the owner of every string and must not change meanwhile.
 */
#pragma once
#include "base/profile.h"
#include "render/place.h"

struct pf_frame {
	const char *function; /* "[libz.so.1]" where no name is known */
	const char *module;   /* "libz.so.1"; "" for markers and the like */
	const char *file;     /* "" unknown, or not asked for */
	int64_t line;         /* 0 unknown, or not asked for */
};

struct pf_frames {
	const struct pf_profile *in;
	bool by_line; /* two lines of one function are two frames */
	struct pf_frame *items;
	size_t capacity;
	struct pf_index index; /* its count is that of `items` */

	struct pf_places places;
	struct pf_frame_run { /* of each place, into `ids` */
		uint32_t first, count;
	} * runs;
	size_t run_capacity;
	uint32_t *ids;
	size_t id_count, id_capacity;

	/* Names made here, for addresses that nobody looked up. */
	char **texts;
	size_t text_count, text_capacity;
};

/* 0 or -ENOMEM; to be finished in both cases. */
int pf_frames_init(struct pf_frames *frames, const struct pf_profile *p);
/* The same with files and lines, as far as the profile has them: one frame for each line. */
int pf_frames_init_by_line(struct pf_frames *frames, const struct pf_profile *p);
void pf_frames_finish(struct pf_frames *frames);

/* The frames of an address that some sample uses, innermost first. */
const uint32_t *pf_frames_at(const struct pf_frames *frames, uint64_t address, uint32_t *count);

/* Samples of the same frames, together. */
struct pf_group {
	size_t id_first;
	uint32_t depth;                      /* pf_groups.ids[id_first...]: leaf first */
	uint32_t sample_first, sample_count; /* into pf_groups.samples */
	int64_t value;                       /* of the column asked for, summed */
};

struct pf_groups {
	struct pf_group *items;
	size_t count, capacity;
	uint32_t *ids;
	size_t id_count, id_capacity;
	uint32_t *samples; /* numbers of samples, group by group, in the profile's order */
	size_t sample_capacity;
};

/* All groups, the largest value (without its sign) first, equal ones in an order that the profile
 * alone decides. 0 or -ENOMEM; to be finished in both cases. */
int pf_groups_init(struct pf_groups *groups, const struct pf_frames *frames, uint32_t type);
void pf_groups_finish(struct pf_groups *groups);
