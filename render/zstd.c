/* The file, and behind it what its sections unpack to; their headers lead there.
 *
 *     | headers | packed .debug_info | packed .debug_line | ... || .debug_info | .debug_line |
 *
 * libzstd is opened when such a file is met: nothing else of ours needs it, and where it is not there,
 * lines are not known and names are.
 */
#include "render/zstd.h"
#include "base/place.h"

#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

enum { ZSTD = 2 }; /* ELFCOMPRESS_ZSTD; not in glibc 2.36's <elf.h> */
static const uint64_t IMAGE_MAX = 2ull << 30;

typedef size_t unpack_fn(void *to, size_t room, const void *from, size_t length);

struct file {
	unsigned char *at;
	size_t length;
	uint64_t headers; /* place of the first section header */
	size_t count;
};

static bool fits(const struct file *f, uint64_t offset, uint64_t size)
{
	return offset <= f->length && size <= f->length - offset;
}

static Elf64_Shdr header_of(const struct file *f, size_t number)
{
	Elf64_Shdr out;

	memcpy(&out, f->at + f->headers + number * sizeof(out), sizeof(out));
	return out;
}

/* Its section headers: of 64 bits and this machine's order, all within the file. */
static bool find_headers(struct file *f)
{
	static const unsigned char order =
	    __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? ELFDATA2LSB : ELFDATA2MSB;
	Elf64_Ehdr e;

	if (!fits(f, 0, sizeof(e)))
		return false;
	memcpy(&e, f->at, sizeof(e));
	if (memcmp(e.e_ident, ELFMAG, SELFMAG) != 0 || e.e_ident[EI_CLASS] != ELFCLASS64 ||
	    e.e_ident[EI_DATA] != order || e.e_shentsize != sizeof(Elf64_Shdr) || e.e_shoff == 0 ||
	    !fits(f, e.e_shoff, sizeof(Elf64_Shdr)))
		return false;
	f->headers = e.e_shoff;
	f->count = e.e_shnum ? e.e_shnum : header_of(f, 0).sh_size;
	return f->count <= (f->length - f->headers) / sizeof(Elf64_Shdr);
}

static bool is_packed(const struct file *f, const Elf64_Shdr *s, Elf64_Chdr *packed)
{
	if (!(s->sh_flags & SHF_COMPRESSED) || s->sh_type == SHT_NOBITS ||
	    s->sh_size < sizeof(*packed) || !fits(f, s->sh_offset, s->sh_size))
		return false;
	memcpy(packed, f->at + s->sh_offset, sizeof(*packed));
	return packed->ch_type == ZSTD;
}

static uint64_t rounded(uint64_t size)
{
	return (size + 15) & ~15ull;
}

/* How long the whole will be: 0 or -errno. */
static int measure(const struct file *f, uint64_t *length)
{
	bool any = false;

	*length = rounded(f->length);
	for (size_t i = 0; i < f->count; i++) {
		Elf64_Shdr s = header_of(f, i);
		Elf64_Chdr packed;

		if (!is_packed(f, &s, &packed))
			continue;
		if (packed.ch_size > IMAGE_MAX || *length + packed.ch_size > IMAGE_MAX)
			return -EFBIG;
		*length += rounded(packed.ch_size);
		any = true;
	}
	return any ? 0 : -ENOENT;
}

/* `f` stands at the beginning of `room` bytes that are ours: nobody changes it meanwhile. 0 or -EINVAL. */
static int unpack_all(struct file *f, uint64_t room, unpack_fn *unpack)
{
	uint64_t at = rounded(f->length);

	if (!find_headers(f))
		return -EINVAL;
	for (size_t i = 0; i < f->count; i++) {
		Elf64_Shdr s = header_of(f, i);
		Elf64_Chdr packed;

		if (!is_packed(f, &s, &packed))
			continue;
		if (packed.ch_size > room - at ||
		    unpack(f->at + at, packed.ch_size, f->at + s.sh_offset + sizeof(packed),
			s.sh_size - sizeof(packed)) != packed.ch_size)
			return -EINVAL;
		s.sh_offset = at;
		s.sh_size = packed.ch_size;
		s.sh_addralign = packed.ch_addralign;
		s.sh_flags &= ~(uint64_t)SHF_COMPRESSED;
		memcpy(f->at + f->headers + i * sizeof(s), &s, sizeof(s));
		at += rounded(packed.ch_size);
		if (at > room)
			return -EINVAL;
	}
	return 0;
}

static unpack_fn *find_unpack(void)
{
	void *library = dlopen("libzstd.so.1", RTLD_NOW | RTLD_LOCAL);

	return library ? (unpack_fn *)(uintptr_t)dlsym(library, "ZSTD_decompress") : NULL;
}

static int make_image(const struct file *f, void **image, size_t *length)
{
	unpack_fn *unpack;
	uint64_t total;
	int rc = measure(f, &total);

	if (rc < 0)
		return rc;
	unpack = find_unpack();
	if (!unpack)
		return -ENOTSUP;
	*image = pf_place_map(total, PROT_READ | PROT_WRITE, 0, -1);
	if (*image == MAP_FAILED) {
		*image = NULL;
		return -ENOMEM;
	}
	*length = total;
	memcpy(*image, f->at, f->length);
	rc = unpack_all(&(struct file){.at = *image, .length = f->length}, total, unpack);
	if (rc < 0) {
		munmap(*image, total);
		*image = NULL;
	}
	return rc;
}

int pf_zstd_image(int fd, void **image, size_t *length)
{
	struct file f = {.count = 0};
	struct stat st;
	int rc;

	if (fstat(fd, &st) < 0 || st.st_size <= 0)
		return -EINVAL;
	f.length = (size_t)st.st_size;
	f.at = pf_place_map(f.length, PROT_READ, 0, fd);
	if (f.at == MAP_FAILED)
		return -ENOMEM;
	rc = find_headers(&f) ? make_image(&f, image, length) : -ENOENT;
	munmap(f.at, f.length);
	return rc;
}
