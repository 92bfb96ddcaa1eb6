#include "fs/proc.h"
#include "base/buf.h"
#include "base/clock.h"
#include "fs/live.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

int pf_proc_read(struct pf_buf *out, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	do {
		char *room = pf_buf_room(out, 4096);

		n = room ? read(fd, room, 4096) : 0;
		if (n < 0)
			pf_buf_fail(out, -errno);
		out->length += n > 0 ? (size_t)n : 0;
	} while (n > 0);
	close(fd);
	return 0;
}

int64_t pf_proc_resident_bytes(void)
{
	char text[128], *at;
	int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	ssize_t length;

	if (fd < 0)
		return -1;
	length = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (length <= 0)
		return -1;
	text[length] = '\0';
	strtoll(text, &at, 10); /* of all address space */
	return strtoll(at, NULL, 10) * sysconf(_SC_PAGESIZE);
}

void pf_proc_cmdline_show(struct pf_buf *out, struct pf_live *live, int arg)
{
	int rc = pf_proc_read(out, "/proc/self/cmdline");

	if (rc < 0)
		pf_buf_fail(out, rc);
}

/* Go joins the arguments with NULs and puts none behind the last. */
void pf_proc_go_cmdline_show(struct pf_buf *out, struct pf_live *live, int arg)
{
	pf_proc_cmdline_show(out, live, arg);
	if (out->length && out->at[out->length - 1] == '\0')
		out->length--;
}

/* ---- stats ---- */

/* Lines of /proc/self/status that are in KiB, as bytes. Not mallinfo2: it walks every free chunk
 * with the arena's lock held, and the program would stop in malloc while somebody greps here. */
static const struct {
	const char *key, *name;
} sizes[] = {
    {"VmRSS:", "rss_bytes"},
    {"VmHWM:", "rss_peak_bytes"},
    {"RssAnon:", "rss_anonymous_bytes"},
    {"RssFile:", "rss_file_bytes"},
    {"VmSize:", "vms_bytes"},
    {"VmData:", "data_bytes"},
    {"VmSwap:", "swapped_bytes"},
};

static void show_sizes(struct pf_buf *out)
{
	struct pf_buf text = PF_BUF_INIT;
	const char *at, *lines;

	pf_proc_read(&text, "/proc/self/status");
	lines = pf_buf_text(&text);
	for (size_t i = 0; i < PF_COUNT(sizes); i++) {
		at = strstr(lines, sizes[i].key);
		if (at)
			pf_buf_printf(out, "%s %lld\n", sizes[i].name,
			    strtoll(at + strlen(sizes[i].key), NULL, 10) * 1024);
	}
	pf_buf_finish(&text);
}

/* The first thread's table, which is the program's: ours is another. */
static void show_descriptors(struct pf_buf *out)
{
	DIR *dir = opendir("/proc/self/fd");
	int count = 0;

	if (!dir)
		return;
	for (struct dirent *d = readdir(dir); d; d = readdir(dir))
		count += d->d_name[0] != '.';
	closedir(dir);
	pf_buf_printf(out, "fds %d\n", count);
}

static double seconds(struct timeval time)
{
	return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

/* Ours are in it, as in all the kernel counts per process. */
static void show_usage(struct pf_buf *out)
{
	struct rusage usage;

	if (getrusage(RUSAGE_SELF, &usage) != 0)
		return;
	pf_buf_printf(out, "cpu_user_seconds %.6f\ncpu_system_seconds %.6f\n",
	    seconds(usage.ru_utime), seconds(usage.ru_stime));
	pf_buf_printf(out, "voluntary_context_switches %ld\ninvoluntary_context_switches %ld\n",
	    usage.ru_nvcsw, usage.ru_nivcsw);
	pf_buf_printf(
	    out, "minor_faults %ld\nmajor_faults %ld\n", usage.ru_minflt, usage.ru_majflt);
	pf_buf_printf(
	    out, "blocks_read %ld\nblocks_written %ld\n", usage.ru_inblock, usage.ru_oublock);
}

/* Since the process began, as the kernel knows it: the 22nd field, behind the last ')'. */
static void show_uptime(struct pf_buf *out)
{
	struct pf_buf text = PF_BUF_INIT;
	struct timespec now;
	const char *at;

	pf_proc_read(&text, "/proc/self/stat");
	at = strrchr(pf_buf_text(&text), ')');
	for (int field = 2; at && field < 22; field++) {
		at = strchr(at, ' ');
		at = at ? at + 1 : NULL;
	}
	if (at && clock_gettime(CLOCK_BOOTTIME, &now) == 0)
		pf_buf_printf(out, "uptime_seconds %.2f\n",
		    (double)now.tv_sec + (double)now.tv_nsec / 1e9 -
			strtod(at, NULL) / (double)sysconf(_SC_CLK_TCK));
	pf_buf_finish(&text);
}

void pf_proc_stats_show(struct pf_buf *out, struct pf_live *live, int arg)
{
	pf_buf_printf(out, "pid %d\n", (int)getpid());
	show_uptime(out);
	if (live->door->threads)
		pf_buf_printf(out, "threads %zu\n", live->door->threads(NULL, 0));
	show_usage(out);
	show_sizes(out);
	show_descriptors(out);
}
