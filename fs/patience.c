#include "fs/patience.h"

#include <stdio.h>

static int64_t read_setting(const char *name)
{
	char path[64];
	long long value = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/sys/fs/fuse/%s", name);
	f = fopen(path, "re");
	if (!f)
		return 0; /* before Linux 6.15 */
	if (fscanf(f, "%lld", &value) != 1)
		value = 0;
	fclose(f);
	return value;
}

/* As the kernel works it out for a server that does not ask (init_server_timeout()): no less than
 * the 15 s between two of its looks. */
int64_t pf_patience_seconds(void)
{
	enum { LOOK_SECONDS = 15 };
	int64_t most = read_setting("max_request_timeout");
	int64_t usual = read_setting("default_request_timeout");
	int64_t seconds = most && (!usual || most < usual) ? most : usual;

	return seconds && seconds < LOOK_SECONDS ? LOOK_SECONDS : seconds;
}
