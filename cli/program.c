#include "cli/cli.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#if defined(__x86_64__)
enum { OUR_MACHINE = EM_X86_64 };
#elif defined(__aarch64__)
enum { OUR_MACHINE = EM_AARCH64 };
#endif

enum { MOST_HEADERS = 256, MOST_ENTRIES = 256, MOST_SCRIPTS = 4 };

static bool says_it_is_not_there(int error)
{
	return error == ENOENT || error == ENOTDIR || error == ELOOP || error == ENAMETOOLONG;
}

/* 0 executable, -EACCES not, -ENOENT; or why that cannot be told (-EIO, a server that does not
 * answer). */
static int check_executable(const char *path)
{
	struct stat st;

	if (stat(path, &st) != 0) {
		if (says_it_is_not_there(errno))
			return -ENOENT;
		return -errno;
	}
	if (S_ISDIR(st.st_mode))
		return -EACCES;
	return access(path, X_OK) != 0 ? -errno : 0;
}

int pf_program_find(const char *name, char *path, size_t size)
{
	const char *search = getenv("PATH");
	int worst = -ENOENT;

	if (!*name)
		return -ENOENT;
	if (strchr(name, '/')) {
		int rc;

		snprintf(path, size, "%s", name);
		rc = check_executable(path);
		/* What cannot be told here, exec tells. */
		return rc == -ENOENT || rc == -EACCES ? rc : 0;
	}
	if (!search || !*search)
		search = "/bin:/usr/bin";
	for (;;) {
		size_t length = strcspn(search, ":");
		int rc;

		snprintf(path, size, "%.*s%s%s", (int)length, search, length ? "/" : "./", name);
		rc = check_executable(path);
		if (rc == 0)
			return 0;
		if (rc == -EACCES)
			worst = rc;
		if (search[length] == '\0')
			return worst;
		search += length + 1;
	}
}

/* The interpreter of a script into `out`: true when there is one. */
static bool script_interpreter(const char *head, size_t length, char *out, size_t size)
{
	size_t start, n;

	if (length < 3 || head[0] != '#' || head[1] != '!')
		return false;
	start = 2 + strspn(head + 2, " \t");
	n = strcspn(head + start, " \t\n");
	if (n == 0 || n >= size)
		return false;
	memcpy(out, head + start, n);
	out[n] = '\0';
	return true;
}

/* Where in the file an address is, or -1. */
static off_t offset_of(const Elf64_Phdr *headers, size_t count, Elf64_Addr at)
{
	for (size_t i = 0; i < count; i++)
		if (headers[i].p_type == PT_LOAD && at >= headers[i].p_vaddr &&
		    at - headers[i].p_vaddr < headers[i].p_filesz)
			return (off_t)(at - headers[i].p_vaddr + headers[i].p_offset);
	return -1;
}

/* A sanitizer's runtime as a shared library ends the program when it is not the first of all. */
static bool is_sanitizer(const char *library)
{
	static const char *const starts[] = {"libasan.so", "libhwasan.so", "liblsan.so",
	    "libtsan.so", "libmsan.so", "libclang_rt.asan", "libclang_rt.hwasan",
	    "libclang_rt.tsan", "libclang_rt.msan"};

	for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++)
		if (strncmp(library, starts[i], strlen(starts[i])) == 0)
			return true;
	return false;
}

static bool needs_sanitizer(int fd, const Elf64_Phdr *headers, size_t count)
{
	Elf64_Dyn entries[MOST_ENTRIES];
	off_t names = -1;
	size_t have = 0;

	for (size_t i = 0; i < count; i++)
		if (headers[i].p_type == PT_DYNAMIC) {
			ssize_t got =
			    pread(fd, entries, sizeof(entries), (off_t)headers[i].p_offset);

			have = got < 0 ? 0 : (size_t)got / sizeof(entries[0]);
		}
	for (size_t i = 0; i < have && entries[i].d_tag != DT_NULL; i++)
		if (entries[i].d_tag == DT_STRTAB)
			names = offset_of(headers, count, entries[i].d_un.d_ptr);
	for (size_t i = 0; names >= 0 && i < have && entries[i].d_tag != DT_NULL; i++) {
		char name[64] = "";

		if (entries[i].d_tag == DT_NEEDED &&
		    pread(fd, name, sizeof(name) - 1, names + (off_t)entries[i].d_un.d_val) > 0 &&
		    is_sanitizer(name))
			return true;
	}
	return false;
}

enum { MOST_SECTIONS = 1024, MOST_BYTES = 64 << 20 };

/* The section with a NUL behind it; the caller frees. NULL: it cannot be had. */
static char *read_section(int fd, const Elf64_Shdr *section)
{
	char *bytes = section->sh_size < MOST_BYTES ? malloc(section->sh_size + 1) : NULL;

	if (!bytes)
		return NULL;
	if (pread(fd, bytes, section->sh_size, (off_t)section->sh_offset) !=
	    (ssize_t)section->sh_size) {
		free(bytes);
		return NULL;
	}
	bytes[section->sh_size] = '\0';
	return bytes;
}

/* A runtime inside the program (clang's usual way) has all of these under the names that libc's
 * functions have, whichever sanitizer it is; a program with an allocator of its own has the first. */
static bool exports_interceptors(
    const Elf64_Sym *symbols, size_t count, const char *names, size_t size)
{
	static const char *const marks[] = {"malloc", "pthread_create", "sigaction"};
	unsigned found = 0;

	for (size_t i = 0; i < count; i++)
		for (size_t k = 0; k < sizeof(marks) / sizeof(marks[0]); k++)
			if (symbols[i].st_shndx != SHN_UNDEF && symbols[i].st_name < size &&
			    strcmp(names + symbols[i].st_name, marks[k]) == 0)
				found |= 1u << k;
	return found == (1u << sizeof(marks) / sizeof(marks[0])) - 1;
}

static bool contains_sanitizer(int fd, const Elf64_Ehdr *head)
{
	size_t count = head->e_shnum < MOST_SECTIONS ? head->e_shnum : MOST_SECTIONS;
	Elf64_Shdr *sections = calloc(count + 1, sizeof(*sections));
	size_t want = count * sizeof(*sections);
	bool found = false;

	if (!sections || head->e_shentsize != sizeof(*sections) ||
	    pread(fd, sections, want, (off_t)head->e_shoff) != (ssize_t)want)
		count = 0;
	for (size_t i = 0; i < count && !found; i++) {
		const Elf64_Shdr *its = &sections[i];
		char *symbols, *names;

		if (its->sh_type != SHT_DYNSYM || its->sh_link >= count)
			continue;
		symbols = read_section(fd, its);
		names = read_section(fd, &sections[its->sh_link]);
		found =
		    symbols && names &&
		    exports_interceptors((const Elf64_Sym *)(void *)symbols,
			its->sh_size / sizeof(Elf64_Sym), names, sections[its->sh_link].sh_size);
		free(symbols);
		free(names);
	}
	free(sections);
	return found;
}

static const char *elf_obstacle(int fd, const Elf64_Ehdr *head)
{
	Elf64_Phdr headers[MOST_HEADERS];
	char interpreter[PATH_MAX] = "";
	ssize_t want;

	if (head->e_ident[EI_CLASS] != ELFCLASS64 || head->e_machine != OUR_MACHINE)
		return "it is a program of another architecture";
	if (head->e_phentsize != sizeof(headers[0]) || head->e_phnum > MOST_HEADERS)
		return "its program headers are not understood";
	want = (ssize_t)(head->e_phnum * sizeof(headers[0]));
	if (pread(fd, headers, (size_t)want, (off_t)head->e_phoff) != want)
		return "its program headers cannot be read";
	for (size_t i = 0; i < head->e_phnum; i++) {
		size_t n = headers[i].p_filesz;

		if (headers[i].p_type != PT_INTERP || n >= sizeof(interpreter))
			continue;
		if (pread(fd, interpreter, n, (off_t)headers[i].p_offset) != (ssize_t)n)
			interpreter[0] = '\0';
	}
	if (!interpreter[0])
		return "it is a static program: no library can be loaded into it (link -lproffs)";
	if (strstr(interpreter, "ld-musl"))
		return "it is built for musl, and this agent for glibc";
	if (needs_sanitizer(fd, headers, head->e_phnum))
		return "it is built with a sanitizer, whose runtime must be loaded before all else "
		       "(build without -fsanitize)";
	if (contains_sanitizer(fd, head))
		return "it is built with a sanitizer, which would take the agent for a part of the "
		       "program (build without -fsanitize)";
	return NULL;
}

static bool gains_privilege(int fd)
{
	struct stat st;
	char capability[64];

	if (fstat(fd, &st) != 0)
		return false;
	if ((st.st_mode & S_ISUID) && st.st_uid != geteuid())
		return true;
	if ((st.st_mode & S_ISGID) && (st.st_mode & S_IXGRP) && st.st_gid != getegid())
		return true;
	return geteuid() != 0 &&
	       fgetxattr(fd, "security.capability", capability, sizeof(capability)) > 0;
}

static const char *obstacle_of_file(const char *path, int depth)
{
	union {
		Elf64_Ehdr elf;
		char text[PATH_MAX];
	} head;
	const char *why = NULL;
	char interpreter[PATH_MAX];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t length;

	if (fd < 0)
		return NULL; /* executable but not readable: try; the loader knows */
	memset(&head, 0, sizeof(head));
	length = read(fd, &head, sizeof(head) - 1);
	if (length >= (ssize_t)sizeof(head.elf) && memcmp(head.text, ELFMAG, SELFMAG) == 0) {
		why =
		    gains_privilege(fd)
			? "it is setuid, setgid or has file capabilities: the loader ignores preloads"
			: elf_obstacle(fd, &head.elf);
	} else if (length > 0 && depth < MOST_SCRIPTS &&
		   script_interpreter(
		       head.text, (size_t)length, interpreter, sizeof(interpreter))) {
		why = obstacle_of_file(interpreter, depth + 1);
	}
	close(fd);
	return why;
}

const char *pf_program_obstacle(const char *path)
{
	return obstacle_of_file(path, 0);
}
