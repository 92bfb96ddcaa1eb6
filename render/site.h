/* Site: the place in the program that a stack is about. Above it may be frames of the language's
 * runtime, what std::thread or a throw are made of, and of its library.
 */
#pragma once
#include "render/frame.h"

#include <stdbool.h>

struct pf_buf;

/* A function of C++'s or Rust's own library, which others ask for a thread or make it throw. */
bool pf_site_is_library(const char *name);

/* The first frame that is neither's; else the first of the library's, else the leaf. NULL: no frame at all. */
const struct pf_frame *pf_site_frame(
    const struct pf_frames *frames, const struct pf_groups *groups, const struct pf_group *group);

/* All frames of a group, each on a `#` line of its own. */
void pf_site_stack(struct pf_buf *out, const struct pf_frames *frames,
    const struct pf_groups *groups, const struct pf_group *group);
