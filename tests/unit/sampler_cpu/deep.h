/* Deep chains of functions of many shapes, compiled three ways: without frame pointers, with them,
 * and without optimisation. */
#pragma once
#include <stdint.h>

struct deep {
	uint32_t random; /* state of deep_draw() */
	long (*leaf)(struct deep *deep, long x);
	int segments;   /* of the chain still to come */
	int flavour;    /* 0, 1, 2; 3: another for every segment */
	int way;        /* how to sleep at the end */
	int pipe;       /* nothing to read in it */
	uint32_t truth; /* the stack before going to sleep */
	int ready;      /* atomic */
	int word;       /* a futex */
};

uint32_t deep_draw(struct deep *deep);

/* `depth` frames of this flavour, then leaf(). */
long deep_without_pointers(struct deep *deep, int depth, long x);
long deep_with_pointers(struct deep *deep, int depth, long x);
long deep_unoptimised(struct deep *deep, int depth, long x);

enum { DEEP_WAYS = 8 };

/* Notes the truth and sleeps in one of DEEP_WAYS ways. */
long deep_sleep_without_pointers(struct deep *deep, long x);
long deep_sleep_with_pointers(struct deep *deep, long x);
long deep_sleep_unoptimised(struct deep *deep, long x);
