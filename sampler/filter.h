/* Filter: what a filter of system calls (seccomp's classic BPF) does to a call that we would make.
 *
 * The program is followed with what is known of the call: its number and, where told, one of its
 * arguments. What depends on the rest goes both ways. Jumps lead forward only, so each instruction is
 * visited once, with what all ways to it agree on.
 */
#pragma once
#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pf_filter_call {
	uint32_t number;
	uint32_t told; /* which argument is known, from 1; 0: none */
	uint64_t argument;
};

/* Would the kernel take it? What it refuses forbids nothing. */
bool pf_filter_is_one(const struct sock_filter *code, size_t count);

/* May the call end the program, stop it, be handed to somebody else or be said done that was not?
 * False: it is made, or it fails with an errno. True also for what is
 * no filter. One thread at a time. */
bool pf_filter_ends(
    const struct sock_filter *code, size_t count, const struct pf_filter_call *call);
