/* A file with debug information. What libdw itself makes of broken files is its own affair, and
 * happens in a process of its own (proffs-lines); ours is what we ask it. */
#include "base/buf.h"
#include "fuzz.h"
#include "render/lines.h"
#include "render/render.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	PF_SCOPED(pf_buf) asked = PF_BUF_INIT;
	PF_SCOPED(pf_buf) answer = PF_BUF_INIT;
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	if (fd < 0 || write(fd, bytes, size) != (ssize_t)size)
		abort();
	pf_buf_printf(&asked, "/nowhere%cm%c/proc/self/fd/%d%c", 0, 0, fd, 0);
	for (size_t at = 0; at < size && at < 8192; at += 13)
		pf_buf_printf(&asked, "a%zx%c", at, 0);
	pf_lines_ask_here(NULL, &asked, &answer);
	close(fd);
	return 0;
}
