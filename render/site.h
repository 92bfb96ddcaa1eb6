/* Site: the place in the program that a stack is about. Above it may be frames of the language's
 * runtime: what std::thread or a throw are made of.
 */
#pragma once
#include "render/frame.h"

struct pf_buf;

/* The first frame that is not the runtime's; the leaf where all are. NULL: no frame at all. */
const struct pf_frame *pf_site_frame(
    const struct pf_frames *frames, const struct pf_groups *groups, const struct pf_group *group);

/* All frames of a group, each on a `#` line of its own. */
void pf_site_stack(struct pf_buf *out, const struct pf_frames *frames,
    const struct pf_groups *groups, const struct pf_group *group);
