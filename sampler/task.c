#include "sampler/task.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/mark.h"
#include "sampler/crew.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int task_directory = -1; /* atomic; in our private descriptor table, never closed */

/* A directory to start from. Whoever is not of the crew has another descriptor table, in which
 * nothing of ours may stay: it gets one to close. */
static int take_directory(bool *keep)
{
	int now = __atomic_load_n(&task_directory, __ATOMIC_ACQUIRE);
	int fresh;

	*keep = pf_crew_has((pid_t)syscall(SYS_gettid));
	if (*keep && now >= 0)
		return now;
	fresh = open("/proc/self/task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fresh < 0)
		return -errno;
	if (!*keep || __atomic_compare_exchange_n(
			  &task_directory, &now, fresh, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		return fresh;
	close(fresh);
	return now;
}

static int open_under_tasks(const char *path, int flags)
{
	bool keep;
	int at = take_directory(&keep);
	int fd;

	if (at < 0)
		return at;
	fd = openat(at, path, O_RDONLY | O_CLOEXEC | flags);
	if (fd < 0)
		fd = -errno;
	if (!keep)
		close(at);
	return fd;
}

int pf_task_open(pid_t tid, const char *file)
{
	char path[48];

	snprintf(path, sizeof(path), "%d/%s", tid, file);
	return open_under_tasks(path, 0);
}

ssize_t pf_task_read(pid_t tid, const char *file, char *out, size_t size)
{
	int fd = pf_task_open(tid, file);
	ssize_t got;

	if (fd < 0)
		return fd;
	got = read(fd, out, size);
	if (got < 0)
		got = -errno;
	close(fd);
	return got;
}

int pf_task_status(pid_t tid, const char *name, int base, uint64_t *out)
{
	char text[4096];
	ssize_t length = pf_task_read(tid, "status", text, sizeof(text) - 1);
	const char *line;

	if (length < 0)
		return (int)length;
	text[length] = '\0';
	line = strstr(text, name);
	if (!line)
		return -EPROTO;
	*out = strtoull(line + strlen(name), NULL, base);
	return 0;
}

/* proc_pid_stat(5), field 22. The name before it, in brackets, may hold anything. */
int64_t pf_task_begun_ns(pid_t tid)
{
	enum { BEGUN = 22, AFTER_NAME = 2 };
	char text[1024];
	ssize_t got = pf_task_read(tid, "stat", text, sizeof(text) - 1);
	const char *at;

	if (got <= 0)
		return -1;
	text[got] = '\0';
	at = strrchr(text, ')');
	for (int field = AFTER_NAME; at && field < BEGUN; field++)
		at = strchr(at + 1, ' ');
	if (!at)
		return -1;
	return (int64_t)strtoull(at, NULL, 10) * (PF_NS_PER_SECOND / sysconf(_SC_CLK_TCK));
}

/* The directory's link count tells: two for itself, and one for each thread. */
int64_t pf_task_count(void)
{
	enum { OF_ITSELF = 2 };
	bool keep;
	int at = take_directory(&keep);
	int64_t ours = pf_crew_count();
	struct stat st;
	int rc;

	if (at < 0)
		return at;
	rc = fstat(at, &st) < 0 ? -errno : 0;
	if (!keep)
		close(at);
	if (rc < 0)
		return rc;
	if ((int64_t)st.st_nlink <= OF_ITSELF + ours)
		return -ENOENT; /* no /proc of this kind */
	return (int64_t)st.st_nlink - OF_ITSELF - ours;
}

/* As the kernel writes it (linux/dirent.h). */
struct kernel_dirent {
	uint64_t inode;
	int64_t offset;
	uint16_t length;
	uint8_t type;
	char name[];
};

static int add_entries(struct pf_task_list *list, const char *at, const char *end)
{
	while (at < end) {
		const struct kernel_dirent *entry = (const void *)at;
		pid_t tid = 0;
		int rc;

		at += entry->length;
		for (const char *c = entry->name; *c >= '0' && *c <= '9'; c++)
			tid = tid * 10 + (*c - '0');
		if (tid == 0)
			continue;
		rc = pf_vec_reserve(
		    (void **)&list->tids, &list->capacity, sizeof(*list->tids), list->count + 1);
		if (rc < 0)
			return rc;
		list->tids[list->count++] = tid;
	}
	return 0;
}

static void leave_crew_out(struct pf_task_list *list)
{
	size_t kept = 0;

	pf_crew_settle();
	for (size_t i = 0; i < list->count; i++)
		if (!pf_crew_has(list->tids[i]))
			list->tids[kept++] = list->tids[i];
	list->count = kept;
}

int pf_task_list(struct pf_task_list *list)
{
	_Alignas(struct kernel_dirent) char entries[16384];
	/* A description of its own: two scans at once must not share a position. */
	int fd = open_under_tasks(".", O_DIRECTORY);
	int rc = 0;

	*list = (struct pf_task_list){0};
	if (fd < 0)
		return fd;
	while (rc == 0) {
		long got = syscall(SYS_getdents64, fd, entries, sizeof(entries));

		if (got < 0)
			rc = -errno;
		if (got <= 0)
			break;
		rc = add_entries(list, entries, entries + got);
	}
	close(fd);
	if (rc < 0)
		pf_task_list_finish(list);
	else
		leave_crew_out(list);
	return rc;
}

void pf_task_list_finish(struct pf_task_list *list)
{
	pf_vec_free(list->tids, list->capacity, sizeof(*list->tids));
	*list = (struct pf_task_list){0};
}

PF_SIGSAFE void pf_task_fork_child(void)
{
	task_directory = -1;
}
