/* Mounted: our tree in the mount table, known by the number of its mount.
 *
 * A descriptor of the tree's root would do as well, but it would keep the mount busy: the user's
 * own `umount` would be refused. So the number is remembered, the table asked, and what is found is
 * checked by its number again before anything is done to it.
 *
 * The reaper is made of this, too, and has no libc: what is called here is in fs/bare.c.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

/* "/proc/self/fd/" and 3: the name of the one by the number of the other. */
enum { PF_MOUNTED_FILE = 64 };
void pf_mounted_file(char out[PF_MOUNTED_FILE], const char *folder, int number);

/* The number of the mount that an open file is in, or -1. */
int pf_mounted_number(int fd);

/* Is it a tree of proffs? Nobody else's mount is ever touched. */
bool pf_mounted_is_tree(int number);

/* The number of a tree of this source ("proffs-PID"; NULL: of any) that is attached at `path`, or -1. */
int pf_mounted_find(const char *path, const char *source);

/* The root of that tree, O_PATH, wherever it is attached now, with its path: a descriptor, -ENOENT when
 * it is not attached any more, or -EBUSY while another mount covers it. Close it soon: it keeps the mount
 * busy. The kernel gives a number that is free to the next mount, which may be another program's tree:
 * hence the source. */
int pf_mounted_open(int number, const char *source, char *path, size_t size);
