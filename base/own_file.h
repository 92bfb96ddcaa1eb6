/* Own file: what the kernel says about the memory of our own process: maps, smaps, statm, status, exe.
 *
 * Asked by the calling thread about itself: what /proc/self is of has no memory any more once the
 * process's first thread has ended, while others live on in it.
 */
#pragma once

/* NAME in /proc/thread-self, or, where that may not be had, in /proc/self; to read. A descriptor or
 * -errno. */
int pf_own_file_open(const char *name);
