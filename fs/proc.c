#include "fs/proc.h"
#include "base/buf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
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

void pf_proc_name(struct pf_buf *out)
{
	if (pf_proc_read(out, "/proc/self/comm") == 0 && out->length &&
	    out->at[out->length - 1] == '\n')
		out->length--;
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
