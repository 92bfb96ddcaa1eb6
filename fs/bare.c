/* Bare: what the reaper needs of libc, without libc.
 *
 *     _start -> first() -> main()          and each function of libc's: one system call
 *
 * glibc asks the processor for its kind before main(), a dozen times, and on a virtual machine each answer may
 * take 55 us; it sets up locales, threads and malloc. The reaper is started with every process that has a
 * tree and mostly sleeps, so it brings the few functions along that it calls, under their own names: reaper.c and
 * mounted.c are written as for libc, and are linked with it where a sanitizer needs it (fs/meson.build).
 *
 * One thread, no TLS, no signal handler.
 */
#include "base/kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv);

#if defined(__x86_64__)

__asm__(".pushsection .text\n"
	".globl _start\n"
	".type _start, @function\n"
	"_start:\n"
	"	.cfi_startproc\n"
	"	.cfi_undefined rip\n"
	"	xor %ebp, %ebp\n"
	"	mov %rsp, %rdi\n"
	"	and $-16, %rsp\n"
	"	call first\n"
	"	.cfi_endproc\n"
	".size _start, .-_start\n"
	".popsection\n");

#elif defined(__aarch64__)

__asm__(".pushsection .text\n"
	".globl _start\n"
	".type _start, %function\n"
	"_start:\n"
	"	.cfi_startproc\n"
	"	.cfi_undefined x30\n"
	"	mov x29, #0\n"
	"	mov x30, #0\n"
	"	mov x0, sp\n"
	"	bl first\n"
	"	.cfi_endproc\n"
	".size _start, .-_start\n"
	".popsection\n");

#else
#error "fs/bare.c: how does a program begin on this processor?"
#endif

/* ---- the beginning ---- */

/* The stack as the kernel leaves it: how many arguments, then the arguments. */
__attribute__((used, noreturn)) void first(long *stack);
__attribute__((used, noreturn)) void first(long *stack)
{
	_exit(main((int)stack[0], (char **)(stack + 1)));
}

/* ---- system calls ---- */

static long kernel(long number, long a, long b, long c, long d, long e)
{
	return pf_kernel(
	    number, (uint64_t)a, (uint64_t)b, (uint64_t)c, (uint64_t)d, (uint64_t)e, 0);
}

static int error;

int *__errno_location(void)
{
	return &error;
}

static long done(long rc)
{
	if (rc >= 0)
		return rc;
	error = (int)-rc;
	return -1;
}

#define CALL(number, a, b, c, d, e)                                                                \
	done(kernel(number, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e)))

void _exit(int status)
{
	for (;;)
		kernel(SYS_exit_group, status, 0, 0, 0, 0);
}

/* Never to create a file: there is no mode. */
int open(const char *path, int flags, ...)
{
	return (int)CALL(SYS_openat, AT_FDCWD, path, flags, 0, 0);
}

int close(int fd)
{
	return (int)CALL(SYS_close, fd, 0, 0, 0, 0);
}

ssize_t read(int fd, void *to, size_t length)
{
	return CALL(SYS_read, fd, to, length, 0, 0);
}

ssize_t write(int fd, const void *from, size_t length)
{
	return CALL(SYS_write, fd, from, length, 0, 0);
}

int poll(struct pollfd *fds, nfds_t count, int timeout_ms)
{
	struct timespec timeout = {timeout_ms / 1000, timeout_ms % 1000 * 1000000l};

	return (int)CALL(SYS_ppoll, fds, count, timeout_ms < 0 ? NULL : &timeout, NULL, 0);
}

int usleep(useconds_t pause_us)
{
	struct timespec pause = {pause_us / 1000000, pause_us % 1000000 * 1000l};

	return (int)CALL(SYS_nanosleep, &pause, NULL, 0, 0, 0);
}

int statx(int dir, const char *path, int flags, unsigned mask, struct statx *out)
{
	return (int)CALL(SYS_statx, dir, path, flags, mask, out);
}

int statfs(const char *path, struct statfs *out)
{
	return (int)CALL(SYS_statfs, path, out, 0, 0, 0);
}

ssize_t getxattr(const char *path, const char *name, void *out, size_t size)
{
	return CALL(SYS_getxattr, path, name, out, size, 0);
}

ssize_t listxattr(const char *path, char *out, size_t size)
{
	return CALL(SYS_listxattr, path, out, size, 0, 0);
}

ssize_t readlinkat(int dir, const char *path, char *out, size_t size)
{
	return CALL(SYS_readlinkat, dir, path, out, size, 0);
}

int unlinkat(int dir, const char *path, int flags)
{
	return (int)CALL(SYS_unlinkat, dir, path, flags, 0, 0);
}

int rmdir(const char *path)
{
	return unlinkat(AT_FDCWD, path, AT_REMOVEDIR);
}

int mkdir(const char *path, mode_t mode)
{
	return (int)CALL(SYS_mkdirat, AT_FDCWD, path, mode, 0, 0);
}

int umount2(const char *path, int flags)
{
	return (int)CALL(SYS_umount2, path, flags, 0, 0, 0);
}

pid_t fork(void)
{
	return (pid_t)CALL(SYS_clone, SIGCHLD, 0, 0, 0, 0);
}

int execve(const char *path, char *const argv[], char *const envp[])
{
	return (int)CALL(SYS_execve, path, argv, envp, 0, 0);
}

pid_t waitpid(pid_t pid, int *status, int options)
{
	return (pid_t)CALL(SYS_wait4, pid, status, options, NULL, 0);
}

/* SIG_IGN and SIG_DFL only: a handler would need a way back. */
sighandler_t signal(int number, sighandler_t action)
{
	/* As the kernel has it, which is not as <signal.h> has it. */
	const struct {
		sighandler_t handler;
		unsigned long flags;
		void (*restorer)(void);
		uint64_t mask;
	} its = {.handler = action};

	return CALL(SYS_rt_sigaction, number, &its, NULL, sizeof(its.mask), 0) < 0 ? SIG_ERR
										   : SIG_DFL;
}

/* ---- memory and text; the compiler calls some of these, too ---- */

void *memcpy(void *restrict to, const void *restrict from, size_t size)
{
	for (size_t i = 0; i < size; i++)
		((char *)to)[i] = ((const char *)from)[i];
	return to;
}

void *memset(void *to, int byte, size_t size)
{
	for (size_t i = 0; i < size; i++)
		((char *)to)[i] = (char)byte;
	return to;
}

size_t strlen(const char *text)
{
	size_t length = 0;

	while (text[length])
		length++;
	return length;
}

int strcmp(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return (unsigned char)*a - (unsigned char)*b;
}

char *strcpy(char *restrict to, const char *restrict from)
{
	memcpy(to, from, strlen(from) + 1);
	return to;
}
