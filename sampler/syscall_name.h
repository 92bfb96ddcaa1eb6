/* Syscall names: by number, from the kernel's own header at build time. */
#pragma once

/* "epoll_wait"; "unknown" for a number newer than the header. */
const char *pf_syscall_name(int number);

/* What a thread does that sleeps there, in one word: "sleep" for every kind of nanosleep, "poll",
 * "select", "futex" ..., else the call's own name. Also "running" and "fault" (feed.h). */
const char *pf_syscall_state(int number);
