/* Frame tree: a profile as the tree that flame graphs draw, without a node in memory.
 *
 *     main ─┬─ handle ─┬─ add ── alloc      stacks in the order of the picture, each from the root:
 *           │          └─ alloc             main handle add alloc | .. .. alloc | .. alloc
 *           └─ alloc
 *
 * Stacks of the same frames are one; they are sorted from the root, by function, then module, so
 * each shares a beginning with the one before it, and what a node adds up to is known when the first
 * stack without it comes. The same profile is the same tree, and two profiles are easy to compare.
 *
 * A value below zero (of a difference: what went away) has no width: it counts as nothing here, and
 * whoever draws says so.
 */
#pragma once
#include "render/frame.h"

struct pf_buf;

struct pf_frametree {
	struct pf_frames frames;
	struct pf_groups groups; /* the stacks, in order */
	uint32_t *rank;          /* of each frame: by function, module, file, line; all different */
};

/* by_line: two lines of a function are two frames, as far as the profile has lines. 0 or -ENOMEM; to be
 * finished in both cases. The profile must not change meanwhile. */
int pf_frametree_init(struct pf_frametree *tree, const struct pf_profile *p, bool by_line);
void pf_frametree_finish(struct pf_frametree *tree);

/* "handle", by line "handle server.c:12"; as it is, from outside. */
void pf_frametree_name(struct pf_buf *out, const struct pf_frame *frame);

/* A stack's frame, 0 the root. */
uint32_t pf_frametree_frame(const struct pf_frametree *tree, size_t stack, uint32_t depth);
/* How many frames it shares with the stack before. */
uint32_t pf_frametree_shared(const struct pf_frametree *tree, size_t stack);
/* What a stack itself has in a column, never below zero. */
int64_t pf_frametree_value(const struct pf_frametree *tree, size_t stack, uint32_t type);
/* The width of the whole picture. */
int64_t pf_frametree_total(const struct pf_frametree *tree, uint32_t type);
/* What all stacks below zero have together, which is not drawn: 0 or less. */
int64_t pf_frametree_below(const struct pf_frametree *tree, uint32_t type);

struct pf_frametree_node {
	uint32_t number; /* parents before children, in the order of the picture, from 0 */
	uint32_t frame, depth;
	int64_t before; /* the sum of everything left of it */
	int64_t total, self;
};

typedef void pf_frametree_fn(void *to, const struct pf_frametree_node *node);

/* Every node that has something in this column, when its sum is complete: children before their
 * parents. Numbers count all nodes. 0 or -ENOMEM. */
int pf_frametree_walk(
    const struct pf_frametree *tree, uint32_t type, pf_frametree_fn *complete, void *to);
/* How many nodes there are. */
size_t pf_frametree_count(const struct pf_frametree *tree);
