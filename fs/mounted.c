#include "fs/mounted.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

enum { READ_BYTES = 4096 };

/* A file of /proc, word by word. Neither malloc nor stdio: for the thread of ours that takes the tree
 * away they would make an arena that nobody needs afterwards, and the reaper has none. */
struct words {
	int fd;
	size_t at, length; /* within `bytes` */
	char bytes[READ_BYTES];
	char word[PATH_MAX];
	size_t word_length; /* what there was; no more than fits is kept */
};

/* The next byte, or -1 at the end. */
static int next_byte(struct words *w)
{
	if (w->at == w->length) {
		ssize_t got;

		do
			got = read(w->fd, w->bytes, sizeof(w->bytes));
		while (got < 0 && errno == EINTR);
		if (got <= 0)
			return -1;
		w->at = 0;
		w->length = (size_t)got;
	}
	return (unsigned char)w->bytes[w->at++];
}

static void add_byte(struct words *w, int byte)
{
	if (w->word_length < sizeof(w->word))
		w->word[w->word_length] = (char)byte;
	w->word_length++;
}

/* Behind a backslash: three digits, or, from a file system that prints its options as they are, none. */
static int unescaped(struct words *w)
{
	int byte = 0;

	for (int i = 0; i < 3; i++) {
		int digit = next_byte(w);

		if (digit < '0' || digit > '7') {
			if (digit != -1)
				w->at--; /* just read, so it is still there */
			return '\\';
		}
		byte = byte * 8 + (digit - '0');
	}
	return byte & 0xff;
}

/* The next word into w->word, its octal escapes ("\040" is a blank) undone; returns what ended it: a blank,
 * a newline, or -1 for the end of the file. */
static int next_word(struct words *w)
{
	int byte;

	w->word_length = 0;
	while ((byte = next_byte(w)) != -1 && byte != ' ' && byte != '\t' && byte != '\n') {
		add_byte(w, byte == '\\' ? unescaped(w) : byte);
	}
	w->word[w->word_length < sizeof(w->word) ? w->word_length : sizeof(w->word) - 1] = '\0';
	return byte;
}

static bool is_word(const struct words *w, const char *text)
{
	return w->word_length < sizeof(w->word) && strcmp(w->word, text) == 0;
}

/* A number, or -1. */
static int word_number(const struct words *w)
{
	int number = 0;

	for (const char *at = w->word; *at; at++) {
		if (*at < '0' || *at > '9' || number > (INT_MAX - 9) / 10)
			return -1;
		number = number * 10 + (*at - '0');
	}
	return w->word_length ? number : -1;
}

void pf_mounted_file(char out[PF_MOUNTED_FILE], const char *folder, int number)
{
	char digits[12];
	size_t length = strlen(folder), n = 0;

	memcpy(out, folder, length);
	do
		digits[n++] = (char)('0' + number % 10);
	while ((number /= 10) > 0);
	while (n > 0)
		out[length++] = digits[--n];
	out[length] = '\0';
}

int pf_mounted_number(int fd)
{
	struct words w;
	char path[PF_MOUNTED_FILE];
	int number = -1, end = 0;

	pf_mounted_file(path, "/proc/thread-self/fdinfo/", fd);
	w.at = w.length = 0;
	w.fd = open(path, O_RDONLY | O_CLOEXEC);
	if (w.fd < 0)
		return -1;
	while (end != -1 && number < 0) {
		end = next_word(&w);
		if (!is_word(&w, "mnt_id:"))
			continue;
		next_word(&w);
		number = word_number(&w);
	}
	close(w.fd);
	return number;
}

/* A line of mountinfo, as far as it matters here (proc(5)): "36 35 98:0 / /mnt rw shared:1 - ext3 /dev/root rw" */
struct mount {
	int number;
	char point[PATH_MAX];
	bool point_is_whole;
	bool is_tree; /* of proffs, and of the source that is asked for */
};

/* False at the end of the table. */
static bool next_mount(struct words *w, const char *source, struct mount *mount)
{
	enum { NUMBER, POINT = 4, FIRST_OPTIONAL = 6 };
	size_t index = 0, type = 0; /* type: the index of the word behind the dash */
	int end;

	mount->is_tree = mount->point_is_whole = false;
	do {
		end = next_word(w);
		if (index == NUMBER) {
			mount->number = word_number(w);
		} else if (index == POINT) {
			mount->point_is_whole = w->word_length < sizeof(mount->point);
			if (mount->point_is_whole)
				memcpy(mount->point, w->word, w->word_length + 1);
		} else if (type && index == type) {
			mount->is_tree = is_word(w, "fuse.proffs");
		} else if (type && index == type + 1) {
			mount->is_tree &= !source || is_word(w, source);
		} else if (!type && index >= FIRST_OPTIONAL && is_word(w, "-")) {
			type = index + 1;
		}
		index++;
	} while (end != -1 && end != '\n');
	return end == '\n';
}

static bool open_table(struct words *w)
{
	w->at = w->length = 0;
	w->fd = open("/proc/thread-self/mountinfo", O_RDONLY | O_CLOEXEC);
	return w->fd >= 0;
}

/* True when the table has that mount and it is a tree, of this source or of any; `path` may be NULL. */
static bool find_tree(int number, const char *source, char *path, size_t size)
{
	struct words w;
	struct mount mount;
	bool found = false;

	if (!open_table(&w))
		return false;
	while (!found && next_mount(&w, source, &mount))
		found = mount.number == number && mount.is_tree &&
			(!path || (mount.point_is_whole && strlen(mount.point) < size));
	close(w.fd);
	if (found && path)
		strcpy(path, mount.point);
	return found;
}

int pf_mounted_find(const char *path, const char *source)
{
	struct words w;
	struct mount mount;
	int number = -1;

	if (!open_table(&w))
		return -1;
	while (next_mount(&w, source, &mount)) /* the last one covers the others */
		if (mount.is_tree && mount.point_is_whole && strcmp(mount.point, path) == 0)
			number = mount.number;
	close(w.fd);
	return number;
}

bool pf_mounted_is_tree(int number)
{
	return number >= 0 && find_tree(number, NULL, NULL, 0);
}

int pf_mounted_open(int number, const char *source, char *path, size_t size)
{
	int fd;

	if (number < 0 || !find_tree(number, source, path, size))
		return -ENOENT;
	fd = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (pf_mounted_number(fd) == number)
		return fd;
	close(fd); /* covered, or replaced in this very moment */
	return find_tree(number, source, path, size) ? -EBUSY : -ENOENT;
}
