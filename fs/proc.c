#include "fs/proc.h"
#include "base/buf.h"
#include "base/own_file.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* Closes it. */
static int read_all(struct pf_buf *out, int fd)
{
	ssize_t n;

	do {
		char *room = pf_buf_room(out, 4096);

		n = room ? read(fd, room, 4096) : 0;
		if (n < 0)
			pf_buf_fail(out, -errno);
		out->length += n > 0 ? (size_t)n : 0;
	} while (n > 0);
	close(fd);
	return out->error;
}

int pf_proc_read(struct pf_buf *out, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : read_all(out, fd);
}

int pf_proc_read_own(struct pf_buf *out, const char *name)
{
	int fd = pf_own_file_open(name);

	return fd < 0 ? fd : read_all(out, fd);
}

bool pf_proc_is_withheld(int rc)
{
	return rc == -ENOENT || rc == -EACCES || rc == -EPERM;
}

void pf_proc_name(struct pf_buf *out)
{
	int rc = pf_proc_read(out, "/proc/self/comm");

	if (rc == 0 && out->length && out->at[out->length - 1] == '\n')
		out->length--;
	if (rc < 0 && !pf_proc_is_withheld(rc))
		pf_buf_fail(out, rc);
}

void pf_proc_cmdline_show(struct pf_buf *out, struct pf_live *live, int arg)
{
	int rc = pf_proc_read_own(out, "cmdline");

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
