/* Profiles with a known answer, for the tests of every renderer and for the tools that read them.
 *
 * No address is real: two mappings, "/opt/shop/server" at 0x400000 and "/opt/shop/libcart.so" at
 * 0x7f0000000000, and functions at fixed addresses in them.
 *
 *     main     calls  handle, and handle calls  add (libcart.so), and add calls  alloc
 */
#pragma once
#include "base/profile.h"

/* Inside each function, as lookup addresses. */
enum {
	AT_MAIN = 0x401010,
	AT_HANDLE = 0x402010,
	AT_ALLOC = 0x403010,
	AT_UNNAMED = 0x404010,
};
#define AT_ADD 0x7f0000001010ull

/* By name: "empty" "one" "cpu" "heap" "mutex" "threads" "nasty" "markup" "many"
 * "deep" "wide" "far"; false: no such profile. The caller finishes `p`. */
bool make_profile(struct pf_profile *p, const char *name);

/* "heap": three stacks, Go's four columns.
 *     main;handle;add;alloc    30 objects 3000 bytes allocated, 10 and 1000 in use
 *     main;handle;alloc         5          500                   5      500
 *     main;alloc                2           64                   0        0
 * "cpu": 97 Hz, 10309278 ns a sample.
 *     main;handle;add          70 samples
 *     main;handle              30
 * "threads": 3 in main;handle;add (tids 11 12 13), 1 in main (tid 10)
 * "many": 20 functions f00..f19, f00 the most
 * "deep": 100,000 distinct stacks of 100 frames, one sample each
 * "wide": 50,000 distinct stacks of 30 frames, one sample of one to five periods each
 * "markup": main calls ten functions, one sample each, whose names are HTML, scripts, no text
 */
