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

enum { MOST_HEADERS = 256, MOST_SCRIPTS = 4 };

/* 0 executable, -EACCES not, -ENOENT. */
static int check_executable(const char *path)
{
	struct stat st;

	if (stat(path, &st) != 0)
		return errno == EACCES ? -EACCES : -ENOENT;
	if (S_ISDIR(st.st_mode) || access(path, X_OK) != 0)
		return -EACCES;
	return 0;
}

int pf_program_find(const char *name, char *path, size_t size)
{
	const char *search = getenv("PATH");
	int worst = -ENOENT;

	if (!*name)
		return -ENOENT;
	if (strchr(name, '/')) {
		snprintf(path, size, "%s", name);
		return check_executable(path);
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
