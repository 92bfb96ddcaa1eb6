/* Filter call: which system calls are made in the program's name, and which of them a filter forbids. */
#pragma once
#include <linux/filter.h>
#include <stddef.h>
#include <stdint.h>

/* Bits of enum pf_forbidden (base/forbid.h). One thread at a time. */
uint32_t pf_filter_forbids(const struct sock_filter *code, size_t count);
