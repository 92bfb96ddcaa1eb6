/* jit: code made at run time, as a just-in-time compiler does it, and told about in
 * /tmp/perf-PID.map.
 *
 * Truth: all CPU time is in the two made functions, called in turn by main for equally long; the
 * map calls the first one "jit::first loop" from the start, the second one "jit::second" once the
 * program has run for a moment: the file grows. It is removed at the end (SIGTERM).
 */
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { SECOND_AT = 256, ROUNDS = 20 * 1000 * 1000 };

/* Counts its argument down, with a frame pointer as compilers of such code keep one. */
#if defined(__x86_64__)
static const uint8_t code[] = {0x55, 0x48, 0x89, 0xe5, /* push rbp; mov rbp, rsp */
    0x48, 0xff, 0xcf, 0x75, 0xfb, 0x5d, 0xc3};         /* dec rdi; jnz; pop rbp; ret */
#elif defined(__aarch64__)
static const uint32_t code[] = {0xa9bf7bfd, 0x910003fd, /* stp x29, x30, [sp, -16]!; mov x29, sp */
    0xf1000400, 0x54ffffe1, 0xa8c17bfd, 0xd65f03c0};    /* subs; b.ne; ldp; ret */
#endif

static char path[64];

static void end(int sig)
{
	unlink(path);
	_exit(0);
}

static void tell(const void *at, const char *name)
{
	FILE *file = fopen(path, "a");

	if (!file)
		abort();
	fprintf(
	    file, "%llx %x %s\n", (unsigned long long)(uintptr_t)at, (unsigned)sizeof(code), name);
	fclose(file);
}

int main(void)
{
	char *page = mmap(
	    NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	void (*volatile first)(uint64_t);
	void (*volatile second)(uint64_t);

	if (page == MAP_FAILED)
		return 1;
	memcpy(page, code, sizeof(code));
	memcpy(page + SECOND_AT, code, sizeof(code));
	__builtin___clear_cache(page, page + 4096);
	first = (void (*)(uint64_t))(void *)page;
	second = (void (*)(uint64_t))(void *)(page + SECOND_AT);
	snprintf(path, sizeof(path), "/tmp/perf-%d.map", (int)getpid());
	signal(SIGTERM, end);
	tell(page, "jit::first loop");
	for (int i = 0;; i++) {
		first(ROUNDS);
		second(ROUNDS);
		if (i == 3)
			tell(page + SECOND_AT, "jit::second");
	}
}
