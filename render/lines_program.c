/* proffs-lines: looks source lines up for a program that is being watched, so that the memory and
 * the time this takes are not the program's.
 *
 *     fd 3   what is asked (render/lines.h)        fd 4   the answer, module by module
 *
 * usage: proffs-lines BYTES SECONDS: at most so much memory, at most so long; what was answered by
 * then stands in fd 4. Started by fs/ask_lines.c; ends when the watched program does.
 */
#include "base/profile.h"
#include "render/lines.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ASKED_FD = 3, ANSWER_FD = 4, NICE = 10 };

/* Files are mapped read-only and do not count; what libdw makes of them does. */
static void limit(const char *bytes, const char *seconds)
{
	struct rlimit data = {strtoull(bytes, NULL, 10), RLIM_INFINITY};
	struct rlimit none = {0, 0};
	unsigned long time = strtoul(seconds, NULL, 10);
	int fd;

	data.rlim_max = data.rlim_cur;
	setrlimit(RLIMIT_DATA, &data);
	setrlimit(RLIMIT_CORE, &none);
	alarm((unsigned)time);
	/* The watched program comes first in everything. */
	(void)!nice(NICE);
	fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	(void)!write(fd, "1000", 4);
	close(fd);
}

static bool write_whole(const struct pf_buf *text)
{
	for (size_t at = 0; at < text->length;) {
		ssize_t n = write(ANSWER_FD, text->at + at, text->length - at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		at += (size_t)n;
	}
	return true;
}

static int answer(const void *asked, size_t length)
{
	PF_SCOPED(pf_buf) text = PF_BUF_INIT;
	struct pf_lines_request request;
	int rc = 1;

	pf_lines_begin(&request, asked, length);
	while (rc > 0) {
		rc = pf_lines_answer(&request, &text);
		if (rc > 0 && !write_whole(&text))
			rc = -EIO;
		pf_buf_clear(&text);
	}
	pf_lines_end(&request);
	return rc < 0;
}

int main(int argc, char **argv)
{
	struct stat st;
	void *asked;

	if (argc != 3 || fstat(ASKED_FD, &st) < 0) {
		fprintf(stderr, "proffs-lines: started by proffs, not by hand\n");
		return 2;
	}
	limit(argv[1], argv[2]);
	if (st.st_size <= 0)
		return 0;
	asked = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, ASKED_FD, 0);
	return asked == MAP_FAILED ? 1 : answer(asked, (size_t)st.st_size);
}
