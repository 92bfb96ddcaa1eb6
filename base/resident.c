#include "base/resident.h"
#include "base/own_file.h"

#include <stdlib.h>
#include <unistd.h>

int64_t pf_resident_bytes(void)
{
	char text[128], *at;
	int fd = pf_own_file_open("statm");
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
