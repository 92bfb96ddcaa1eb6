/* /tmp/perf-PID.map: written by a runtime, or by whoever was quicker. */
#include "render/jit.h"
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static char path[64];
	struct pf_jit *jit;
	FILE *file;

	snprintf(path, sizeof(path), "/tmp/proffs-fuzz-%d.map", (int)getpid());
	unlink(path);
	jit = pf_jit_create(path);
	/* In two pieces, as a file that grows. */
	for (int half = 0; half < 2; half++) {
		size_t from = half ? size / 2 : 0, to = half ? size : size / 2;

		file = fopen(path, "ae");
		if (!jit || !file)
			abort();
		fwrite(bytes + from, 1, to - from, file);
		fclose(file);
		pf_jit_refresh(jit);
		for (uint64_t at = 0; at < 0x100; at++) {
			const char *name = pf_jit_find(jit, at);

			if (name && strlen(name) == 0)
				abort();
		}
	}
	pf_jit_destroy(jit);
	unlink(path);
	return 0;
}
