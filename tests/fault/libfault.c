/* libfault: calls of proffs that fail on demand, in a program that runs under the proffs that ships.
 *
 * Preloaded behind libproffs.so, it points the slots through which *our* objects call libc (proffs,
 * libproffs.so, libproffs-fs.so and the libraries that this brings along) at the functions below.
 * The program's own calls are not touched, and neither is what a hook of ours passes on for it:
 * that goes through pointers, not through slots.
 *
 * FAULT_PAGE names a file that is shared with the test (fault.h). A wrapper counts, fails if it is
 * due, and else calls the real one. It may run anywhere its caller may: atomics only.
 */
#include "fault.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <regex.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <unistd.h>

static struct pf_fault_page *page;
static char page_path[4096];
static char self_path[4096];

/* ---- ours ---- */

enum { MODULES_MAX = 32 };

static struct module {
	uintptr_t start, end;
	char name[80];
} modules[MODULES_MAX]; /* filled before anything in them runs */
static size_t module_count;

static const struct module *module_of(const void *where)
{
	uintptr_t at = (uintptr_t)where;

	for (size_t i = 0; i < module_count; i++)
		if (at >= modules[i].start && at < modules[i].end)
			return &modules[i];
	return NULL;
}

static void remember(const void *where, const char *name)
{
	const struct module *module = module_of(where);

	strncpy(page->name, name, sizeof(page->name) - 1);
	if (module) {
		__atomic_store_n(
		    &page->offset, (uintptr_t)where - 1 - module->start, __ATOMIC_RELAXED);
		memcpy(page->module, module->name, sizeof(page->module));
	}
}

/* Is this call of those that are counted? */
static bool counts(const void *where)
{
	const struct module *module;

	if (!page->only[0])
		return true;
	module = module_of(where);
	return module && strncmp(module->name, page->only, strlen(page->only)) == 0;
}

/* Is it this one's turn to fail? */
static bool due(enum pf_fault kind, const char *name, const void *where)
{
	uint64_t now;

	__atomic_fetch_add(&page->totals[kind], 1, __ATOMIC_RELAXED);
	if (__atomic_load_n(&page->kind, __ATOMIC_ACQUIRE) != (int32_t)kind || !counts(where))
		return false;
	now = __atomic_add_fetch(&page->count, 1, __ATOMIC_RELAXED);
	if (now != page->at && !(page->forever && now > page->at))
		return false;
	if (__atomic_fetch_add(&page->fired, 1, __ATOMIC_RELAXED) == 0)
		remember(where, name);
	return true;
}

/* ---- the calls ---- */

/* X(kind, errno, result, type, name, (parameters), (arguments)) */
#define CALLS(X)                                                                                   \
	X(MEMORY, ENOMEM, NULL, void *, malloc, (size_t a), (a))                                   \
	X(MEMORY, ENOMEM, NULL, void *, calloc, (size_t a, size_t b), (a, b))                      \
	X(MEMORY, ENOMEM, NULL, void *, realloc, (void *a, size_t b), (a, b))                      \
	X(MEMORY, ENOMEM, NULL, void *, reallocarray, (void *a, size_t b, size_t c), (a, b, c))    \
	X(MEMORY, ENOMEM, NULL, char *, strdup, (const char *a), (a))                              \
	X(MEMORY, ENOMEM, NULL, char *, strndup, (const char *a, size_t b), (a, b))                \
	X(MEMORY, ENOMEM, NULL, char *, realpath, (const char *a, char *b), (a, b))                \
	X(MEMORY, ENOMEM, NULL, FILE *, open_memstream, (char **a, size_t *b), (a, b))             \
	X(MEMORY, ENOMEM, -1, ssize_t, getline, (char **a, size_t *b, FILE *c), (a, b, c))         \
	X(MEMORY, ENOMEM, -1, ssize_t, getdelim, (char **a, size_t *b, int c, FILE *d),            \
	    (a, b, c, d))                                                                          \
	X(MEMORY, ENOMEM, -1, int, setenv, (const char *a, const char *b, int c), (a, b, c))       \
	X(MEMORY, ENOMEM, REG_ESPACE, int, regcomp, (regex_t * a, const char *b, int c),           \
	    (a, b, c))                                                                             \
	X(MEMORY, ENOMEM, -1, int, scandir,                                                        \
	    (const char *a, struct dirent ***b, int (*c)(const struct dirent *),                   \
		int (*d)(const struct dirent **, const struct dirent **)),                         \
	    (a, b, c, d))                                                                          \
	X(MAP, ENOMEM, MAP_FAILED, void *, mmap,                                                   \
	    (void *a, size_t b, int c, int d, int e, off_t f), (a, b, c, d, e, f))                 \
	X(MAP, ENOMEM, -1, int, mprotect, (void *a, size_t b, int c), (a, b, c))                   \
	X(OPEN, EMFILE, NULL, FILE *, fopen, (const char *a, const char *b), (a, b))               \
	X(OPEN, EMFILE, NULL, DIR *, opendir, (const char *a), (a))                                \
	X(OPEN, EMFILE, -1, int, dup, (int a), (a))                                                \
	X(OPEN, EMFILE, -1, int, dup2, (int a, int b), (a, b))                                     \
	X(OPEN, EMFILE, -1, int, dup3, (int a, int b, int c), (a, b, c))                           \
	X(OPEN, EMFILE, -1, int, pipe, (int *a), (a))                                              \
	X(OPEN, EMFILE, -1, int, pipe2, (int *a, int b), (a, b))                                   \
	X(OPEN, EMFILE, -1, int, socketpair, (int a, int b, int c, int *d), (a, b, c, d))          \
	X(OPEN, EMFILE, -1, int, eventfd, (unsigned a, int b), (a, b))                             \
	X(OPEN, EMFILE, -1, int, memfd_create, (const char *a, unsigned b), (a, b))                \
	X(OPEN, EMFILE, -1, int, signalfd, (int a, const sigset_t *b, int c), (a, b, c))           \
	X(THREAD, EAGAIN, -1, pid_t, fork, (void), ())                                             \
	X(SYSTEM, EPERM, -1, int, unshare, (int a), (a))                                           \
	X(SYSTEM, ENOSPC, -1, int, mkdir, (const char *a, mode_t b), (a, b))                       \
	X(SYSTEM, ENOSPC, -1, int, mkdirat, (int a, const char *b, mode_t c), (a, b, c))           \
	X(SYSTEM, ENOSPC, -1, int, symlinkat, (const char *a, int b, const char *c), (a, b, c))    \
	X(SYSTEM, EPERM, -1, int, sigaction,                                                       \
	    (int a, const struct sigaction *b, struct sigaction *c), (a, b, c))                    \
	X(SYSTEM, EPERM, -1, int, fchdir, (int a), (a))                                            \
	X(SYSTEM, ENOMEM, ENOMEM, int, pthread_attr_init, (pthread_attr_t * a), (a))               \
	X(SYSTEM, ENOMEM, ENOMEM, int, pthread_atfork,                                             \
	    (void (*a)(void), void (*b)(void), void (*c)(void)), (a, b, c))                        \
	X(READ, EIO, -1, ssize_t, pread, (int a, void *b, size_t c, off_t d), (a, b, c, d))        \
	X(READ, EIO, -1, ssize_t, readlink, (const char *a, char *b, size_t c), (a, b, c))         \
	X(READ, EIO, -1, ssize_t, readlinkat, (int a, const char *b, char *c, size_t d),           \
	    (a, b, c, d))                                                                          \
	X(READ, EIO, -1, int, stat, (const char *a, struct stat *b), (a, b))                       \
	X(READ, EIO, -1, int, fstat, (int a, struct stat *b), (a, b))                              \
	X(READ, EIO, -1, int, statfs, (const char *a, struct statfs *b), (a, b))                   \
	X(READ, EIO, -1, int, access, (const char *a, int b), (a, b))                              \
	X(READ, EIO, NULL, struct dirent *, readdir, (DIR * a), (a))                               \
	X(READ, EIO, NULL, char *, fgets, (char *a, int b, FILE *c), (a, b, c))

/* Those with a body of their own. */
#define SPECIAL_CALLS(X)                                                                           \
	X(int, open, (const char *path, int flags, ...))                                           \
	X(int, openat, (int at, const char *path, int flags, ...))                                 \
	X(ssize_t, read, (int fd, void *to, size_t size))                                          \
	X(int, pthread_create,                                                                     \
	    (pthread_t * thread, const pthread_attr_t *attr, void *(*run)(void *), void *arg))     \
	X(int, fcntl, (int fd, int command, ...))                                                  \
	X(int, asprintf, (char **out, const char *format, ...))                                    \
	X(void *, mremap, (void *at, size_t size, size_t wanted, int flags, ...))                  \
	X(int, clone, (int (*run)(void *), void *stack, int flags, void *arg, ...))                \
	X(long, syscall, (long number, ...))                                                       \
	X(int, execve, (const char *path, char *const argv[], char *const envp[]))                 \
	X(void *, dlopen, (const char *path, int flags))

#define X(kind, error, result, type, name, params, args) static type(*real_##name) params;
CALLS(X)
#undef X
#define X(type, name, params) static type(*real_##name) params;
SPECIAL_CALLS(X)
#undef X

#define FAIL_IF_DUE(kind, function, error, result)                                                 \
	do {                                                                                       \
		if (due(PF_FAULT_##kind, function, __builtin_return_address(0))) {                 \
			errno = (error);                                                           \
			return (result);                                                           \
		}                                                                                  \
	} while (0)

#define X(kind, error, result, type, name, params, args)                                           \
	static type fault_##name params                                                            \
	{                                                                                          \
		FAIL_IF_DUE(kind, #name, error, result);                                           \
		return real_##name args;                                                           \
	}
CALLS(X)
#undef X

static int fault_open(const char *path, int flags, ...)
{
	va_list list;
	mode_t mode;

	FAIL_IF_DUE(OPEN, "open", EMFILE, -1);
	va_start(list, flags);
	mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(list, mode_t) : 0;
	va_end(list);
	return real_open(path, flags, mode);
}

static int fault_openat(int at, const char *path, int flags, ...)
{
	va_list list;
	mode_t mode;

	FAIL_IF_DUE(OPEN, "openat", EMFILE, -1);
	va_start(list, flags);
	mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(list, mode_t) : 0;
	va_end(list);
	return real_openat(at, path, flags, mode);
}

/* Of files: /dev/fuse, which no reader of it hears EIO from, and pipes are left alone. */
static ssize_t fault_read(int fd, void *to, size_t size)
{
	struct stat st;

	if (real_fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		FAIL_IF_DUE(READ, "read", EIO, -1);
	return real_read(fd, to, size);
}

/* Threads of ours have attributes; what a hook passes on for the program has none here (host.cc). */
static int fault_pthread_create(
    pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *), void *arg)
{
	if (attr)
		FAIL_IF_DUE(THREAD, "pthread_create", EAGAIN, EAGAIN);
	return real_pthread_create(thread, attr, run, arg);
}

static int fault_fcntl(int fd, int command, ...)
{
	va_list list;
	void *arg;

	if (command == F_DUPFD || command == F_DUPFD_CLOEXEC)
		FAIL_IF_DUE(OPEN, "fcntl(F_DUPFD)", EMFILE, -1);
	va_start(list, command);
	arg = va_arg(list, void *);
	va_end(list);
	return real_fcntl(fd, command, arg);
}

static int fault_asprintf(char **out, const char *format, ...)
{
	va_list list;
	int n;

	FAIL_IF_DUE(MEMORY, "asprintf", ENOMEM, -1);
	va_start(list, format);
	n = vasprintf(out, format, list);
	va_end(list);
	return n;
}

static void *fault_mremap(void *at, size_t size, size_t wanted, int flags, ...)
{
	va_list list;
	void *to;

	FAIL_IF_DUE(MAP, "mremap", ENOMEM, MAP_FAILED);
	va_start(list, flags);
	to = flags & MREMAP_FIXED ? va_arg(list, void *) : NULL;
	va_end(list);
	return real_mremap(at, size, wanted, flags, to);
}

static int fault_clone(int (*run)(void *), void *stack, int flags, void *arg, ...)
{
	void *more[3];
	va_list list;

	FAIL_IF_DUE(THREAD, "clone", EAGAIN, -1);
	va_start(list, arg);
	for (int i = 0; i < 3; i++)
		more[i] = va_arg(list, void *); /* whatever is there */
	va_end(list);
	return real_clone(run, stack, flags, arg, more[0], more[1], more[2]);
}

static const struct {
	long number;
	enum pf_fault kind;
	int error;
	const char *name;
} numbers[] = {
    {SYS_timer_create, PF_FAULT_TIMER, EAGAIN, "timer_create"},
    {SYS_timer_settime, PF_FAULT_TIMER, EINVAL, "timer_settime"},
    {SYS_perf_event_open, PF_FAULT_OPEN, EMFILE, "perf_event_open"},
    {SYS_pidfd_open, PF_FAULT_OPEN, EMFILE, "pidfd_open"},
    {SYS_fsopen, PF_FAULT_OPEN, EMFILE, "fsopen"},
    {SYS_fsmount, PF_FAULT_OPEN, EMFILE, "fsmount"},
    {SYS_fsconfig, PF_FAULT_SYSTEM, EINVAL, "fsconfig"},
    {SYS_move_mount, PF_FAULT_SYSTEM, ENOMEM, "move_mount"},
    {SYS_close_range, PF_FAULT_SYSTEM, EPERM, "close_range"},
    {SYS_process_vm_readv, PF_FAULT_SYSTEM, EPERM, "process_vm_readv"},
    {SYS_kcmp, PF_FAULT_SYSTEM, EPERM, "kcmp"},
    {SYS_rt_tgsigqueueinfo, PF_FAULT_SYSTEM, EAGAIN, "rt_tgsigqueueinfo"},
    {SYS_prctl, PF_FAULT_SYSTEM, EPERM, "prctl"},
    {SYS_clock_getres, PF_FAULT_SYSTEM, EPERM, "clock_getres"},
    {SYS_getdents64, PF_FAULT_READ, EIO, "getdents64"},
};

static long fault_syscall(long number, ...)
{
	va_list list;
	long a[6];

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		if (numbers[i].number == number &&
		    due(numbers[i].kind, numbers[i].name, __builtin_return_address(0))) {
			errno = numbers[i].error;
			return -1;
		}
	va_start(list, number);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(list, long);
	va_end(list);
	return real_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

/* The reaper gets a clean environment: nothing of the family's but this. */
static int fault_execve(const char *path, char *const argv[], char *const envp[])
{
	static char page_word[4200], preload_word[4200];
	static char *words[8];
	size_t n = 0;

	FAIL_IF_DUE(THREAD, "execve", ENOMEM, -1);
	if (!strstr(path, "/proffs-"))
		return real_execve(path, argv, envp);
	snprintf(page_word, sizeof(page_word), "FAULT_PAGE=%s", page_path);
	snprintf(preload_word, sizeof(preload_word), "LD_PRELOAD=%s", self_path);
	for (; n < 5 && envp[n]; n++)
		words[n] = envp[n];
	words[n++] = page_word;
	words[n++] = preload_word;
	words[n] = NULL;
	return real_execve(path, argv, words);
}

static void take_over_all(void);

static void *fault_dlopen(const char *path, int flags)
{
	void *library;

	FAIL_IF_DUE(MEMORY, "dlopen", ENOMEM, NULL);
	library = real_dlopen(path, flags);
	take_over_all();
	return library;
}

/* ---- their slots ---- */

static const struct call {
	const char *name;
	void *ours;
	void **real;
} calls[] = {
#define X(kind, error, result, type, name, params, args)                                           \
	{#name, (void *)fault_##name, (void **)&real_##name},
    CALLS(X)
#undef X
#define X(type, name, params) {#name, (void *)fault_##name, (void **)&real_##name},
	SPECIAL_CALLS(X)
#undef X
	    {"open64", (void *)fault_open, NULL},
    {"openat64", (void *)fault_openat, NULL},
    {"fopen64", (void *)fault_fopen, NULL},
    {"mmap64", (void *)fault_mmap, NULL},
    {"fcntl64", (void *)fault_fcntl, NULL},
    {"stat64", (void *)fault_stat, NULL},
    {"fstat64", (void *)fault_fstat, NULL},
    {"pread64", (void *)fault_pread, NULL},
};

#ifdef __x86_64__
enum { JUMP_SLOT = R_X86_64_JUMP_SLOT, GLOB_DAT = R_X86_64_GLOB_DAT, PLAIN = R_X86_64_64 };
#else
enum { JUMP_SLOT = R_AARCH64_JUMP_SLOT, GLOB_DAT = R_AARCH64_GLOB_DAT, PLAIN = R_AARCH64_ABS64 };
#endif

static void point_at_ours(uintptr_t base, const ElfW(Rela) * at, size_t size,
    const ElfW(Sym) * symbols, const char *strings)
{
	const size_t page_size = 4096;

	for (size_t i = 0; i < size / sizeof(*at); i++) {
		size_t type = ELF64_R_TYPE(at[i].r_info);
		const char *name = strings + symbols[ELF64_R_SYM(at[i].r_info)].st_name;
		void **slot = (void **)(base + at[i].r_offset);

		if (type != JUMP_SLOT && type != GLOB_DAT && type != PLAIN)
			continue;
		for (size_t c = 0; c < sizeof(calls) / sizeof(calls[0]); c++)
			if (strcmp(calls[c].name, name) == 0) {
				mprotect((void *)((uintptr_t)slot & ~(page_size - 1)), page_size,
				    PROT_READ | PROT_WRITE);
				__atomic_store_n(slot, calls[c].ours, __ATOMIC_RELEASE);
			}
	}
}

static void take_over(const struct dl_phdr_info *info)
{
	const ElfW(Dyn) *dynamic = NULL;
	const ElfW(Sym) *symbols = NULL;
	const char *strings = NULL;
	uintptr_t rela = 0, plt = 0;
	size_t rela_size = 0, plt_size = 0;

	for (int i = 0; i < info->dlpi_phnum; i++)
		if (info->dlpi_phdr[i].p_type == PT_DYNAMIC)
			dynamic = (const ElfW(Dyn) *)(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr);
	for (; dynamic && dynamic->d_tag != DT_NULL; dynamic++) {
		uintptr_t value = dynamic->d_un.d_ptr;

		if (dynamic->d_tag == DT_SYMTAB)
			symbols = (const ElfW(Sym) *)value;
		else if (dynamic->d_tag == DT_STRTAB)
			strings = (const char *)value;
		else if (dynamic->d_tag == DT_RELA)
			rela = value;
		else if (dynamic->d_tag == DT_RELASZ)
			rela_size = value;
		else if (dynamic->d_tag == DT_JMPREL)
			plt = value;
		else if (dynamic->d_tag == DT_PLTRELSZ)
			plt_size = value;
	}
	if (!symbols || !strings)
		return;
	point_at_ours(info->dlpi_addr, (const ElfW(Rela) *)rela, rela_size, symbols, strings);
	point_at_ours(info->dlpi_addr, (const ElfW(Rela) *)plt, plt_size, symbols, strings);
}

/* The names our objects have, and those that come with them and with no program under test. */
static bool is_ours(const char *path)
{
	static const char *const names[] = {"/proffs", "/libproffs", "/libfuse3.so",
	    "/libprotobuf-c.so", "/libz.so", "/liblzma.so", "/libelf", "/libdw", "/libunwind"};
	char executable[4096];

	if (!*path) {
		ssize_t n = syscall(
		    SYS_readlinkat, AT_FDCWD, "/proc/self/exe", executable, sizeof(executable) - 1);

		executable[n > 0 ? n : 0] = '\0';
		path = executable;
	}
	path = strrchr(path, '/');
	for (size_t i = 0; path && i < sizeof(names) / sizeof(names[0]); i++)
		if (strncmp(path, names[i], strlen(names[i])) == 0)
			return true;
	return false;
}

static int visit(struct dl_phdr_info *info, size_t size, void *unused)
{
	struct module *module = &modules[module_count];
	const char *name;
	uintptr_t end = 0;

	for (size_t i = 0; i < module_count; i++)
		if (modules[i].start == info->dlpi_addr)
			return 0;
	if (module_count == MODULES_MAX || !is_ours(info->dlpi_name))
		return 0;
	for (int i = 0; i < info->dlpi_phnum; i++)
		if (info->dlpi_phdr[i].p_type == PT_LOAD &&
		    info->dlpi_phdr[i].p_vaddr + info->dlpi_phdr[i].p_memsz > end)
			end = info->dlpi_phdr[i].p_vaddr + info->dlpi_phdr[i].p_memsz;
	module->start = info->dlpi_addr;
	module->end = info->dlpi_addr + end;
	name = strrchr(info->dlpi_name, '/');
	strncpy(module->name, name ? name + 1 : "the program", sizeof(module->name) - 1);
	module_count++;
	take_over(info);
	return 0;
}

static void take_over_all(void)
{
	dl_iterate_phdr(visit, NULL);
}

__attribute__((constructor)) static void start(void)
{
	const char *path = getenv("FAULT_PAGE");
	Dl_info self;
	void *at;
	int fd;

	if (!path || strlen(path) >= sizeof(page_path))
		return;
	strcpy(page_path, path);
	if (dladdr((void *)start, &self) && strlen(self.dli_fname) < sizeof(self_path))
		strcpy(self_path, self.dli_fname);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return;
	at = mmap(NULL, sizeof(*page), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (at == MAP_FAILED)
		return;
	page = at;
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		if (calls[i].real)
			*calls[i].real = dlsym(RTLD_NEXT, calls[i].name);
	take_over_all();
}
