#if defined(__x86_64__)
#include "base/feature.h"
#include "base/mark.h"
#include "base/place.h"
#include "sampler/shortcut.h"
#include "sampler/x86_length.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SLOWER "; a malloc and free cost about half a nanosecond more"

enum { JUMP_BYTES = 6, LOAD_BYTES = 7, HOOK_BYTES_MAX = 192 };

/* A `jmp *pointer(%rip)` and where the pointer leads; in front of it perhaps a load of the offset. */
struct site {
	uint8_t *at, *load;
	const uint8_t *real;
};

struct sites {
	struct site items[PF_SHORTCUT_MAX];
	size_t count;
	size_t too_far;
	int64_t
	    offset; /* of the thread-local variable, from where a thread's registers point; 0: none */
};

static bool program_runs; /* atomic */

void pf_shortcut_program_runs(void)
{
	__atomic_store_n(&program_runs, true, __ATOMIC_RELEASE);
}

/* ---- where ---- */

static bool jumps_by(const uint8_t *code, void **pointer)
{
	int32_t distance;

	if (code[0] != 0xff || code[1] != 0x25)
		return false;
	memcpy(&distance, code + 2, sizeof(distance));
	return (uintptr_t)code + JUMP_BYTES + (uintptr_t)(intptr_t)distance == (uintptr_t)pointer;
}

/* Nothing else of ours that is loaded whole holds such a number: a small negative one. */
static bool loads_offset(const uint8_t *code, int64_t offset)
{
	int32_t distance;
	int64_t loaded;

	if ((code[0] & 0xfb) != 0x48 || code[1] != 0x8b || (code[2] & 0xc7) != 0x05)
		return false;
	memcpy(&distance, code + 3, sizeof(distance));
	memcpy(&loaded, code + LOAD_BYTES + distance, sizeof(loaded));
	return loaded == offset && offset < 0 && offset == (int32_t)offset;
}

/* The hook's own jump, instruction by instruction: no other hook jumps by this pointer. at == NULL: there
 * is none (built without optimization; clang loads some pointers into a register), or code that we cannot
 * read. */
static struct site find_site(uint8_t *hook, void **pointer, int64_t offset)
{
	struct site site = {.real = *pointer};
	uint8_t *code = hook;

	while (code < hook + HOOK_BYTES_MAX && !site.at) {
		int length = pf_x86_length(code);

		if (length == 0)
			break;
		if (length == JUMP_BYTES && jumps_by(code, pointer))
			site.at = code;
		else if (length == LOAD_BYTES && loads_offset(code, offset))
			site.load = code;
		code += length;
	}
	return site;
}

/* From behind the direct jump, which is a byte shorter. */
static int64_t distance_to(const struct site *site)
{
	return site->real - (site->at + JUMP_BYTES - 1);
}

static void find_sites(struct sites *sites, const struct pf_patch *patches, size_t count)
{
	for (size_t i = 0; i < count && sites->count < PF_SHORTCUT_MAX; i++) {
		struct site site;

		if (!*patches[i].real)
			continue;
		site = find_site(patches[i].hook, patches[i].real, sites->offset);
		if (!site.at)
			continue;
		if (distance_to(&site) != (int32_t)distance_to(&site))
			sites->too_far++;
		else
			sites->items[sites->count++] = site;
	}
}

/* ---- the copy ---- */

static void write_jump(uint8_t *copy, const struct site *site)
{
	int32_t distance = (int32_t)distance_to(site);

	copy[0] = 0xe9;
	memcpy(copy + 1, &distance, sizeof(distance));
	copy[JUMP_BYTES - 1] = 0x90;
}

/* `mov $offset, %register` for `mov place(%rip), %register`. */
static void write_offset(uint8_t *copy, int64_t offset)
{
	int32_t number = (int32_t)offset;

	copy[0] = 0x48 | (copy[0] >> 2 & 1);
	copy[1] = 0xc7;
	copy[2] = 0xc0 | (copy[2] >> 3 & 7);
	memcpy(copy + 3, &number, sizeof(number));
}

/* The page of the first site to that of the last. */
static void find_pages(const struct sites *sites, uint8_t **low, size_t *size)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	uintptr_t first = UINTPTR_MAX, end = 0;

	for (size_t i = 0; i < sites->count; i++) {
		const struct site *site = &sites->items[i];
		uintptr_t at = (uintptr_t)site->at;
		uintptr_t start = site->load ? (uintptr_t)site->load : at;

		first = start < first ? start : first;
		end = at + JUMP_BYTES > end ? at + JUMP_BYTES : end;
	}
	first &= -page;
	end = (end + page - 1) & -page;
	*low = (uint8_t *)first;
	*size = end - first;
}

/* A failed mremap may have unmapped what it was to replace. Where nothing is missing nothing is put. */
static bool put_back(const uint8_t *copy, uint8_t *low, size_t size)
{
	void *place = mmap(low, size, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	if (place == MAP_FAILED)
		return false;
	if (place != low) { /* a kernel before 4.17 takes it for a wish */
		munmap(place, size);
		return false;
	}
	memcpy(low, copy, size);
	return mprotect(low, size, PROT_READ | PROT_EXEC) == 0;
}

/* Whoever executes there meanwhile finds the one or the other page, and every instruction of the one
 * begins where one of the other does. */
static int put_copy(const struct sites *sites, uint8_t *low, size_t size)
{
	uint8_t *copy = pf_place_map(size, PROT_READ | PROT_WRITE, 0, -1);
	int rc;

	if (copy == MAP_FAILED)
		return -errno;
	memcpy(copy, low, size);
	for (size_t i = 0; i < sites->count; i++) {
		const struct site *site = &sites->items[i];

		write_jump(copy + (site->at - low), site);
		if (site->load)
			write_offset(copy + (site->load - low), sites->offset);
	}
	if (mprotect(copy, size, PROT_READ | PROT_EXEC) == 0 &&
	    mremap(copy, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, low) == low)
		return 0;
	rc = -errno;
	if (put_back(copy, low, size))
		rc = 0;
	munmap(copy, size);
	return rc;
}

/* ---- the front door ---- */

/* A filter that was there before the program is the parent's, who has let a tree be mounted. One that
 * the program has set itself may end it for making memory executable. */
static bool may_be_killed(void)
{
	return __atomic_load_n(&program_runs, __ATOMIC_ACQUIRE) &&
	       syscall(SYS_prctl, PR_GET_SECCOMP, 0, 0, 0, 0) != 0;
}

static int64_t offset_in_thread(const void *local)
{
	uintptr_t thread;

	if (!local)
		return 0;
	__asm__("mov %%fs:0, %0" : "=r"(thread));
	return (int64_t)((uintptr_t)local - thread);
}

static const char *make(const struct pf_patch *patches, size_t count, const void *local)
{
	struct sites sites = {.offset = offset_in_thread(local)};
	uint8_t *low;
	size_t size;
	int rc;

	find_sites(&sites, patches, count);
	if (sites.count == 0)
		return sites.too_far ? "the program's malloc is more than 2 GiB away" SLOWER
				     : "not in this build" SLOWER;
	if (may_be_killed())
		return "there is a seccomp filter, which may punish making memory executable" SLOWER;
	find_pages(&sites, &low, &size);
	rc = put_copy(&sites, low, size);
	if (rc == -ENOMEM || rc == -EAGAIN)
		return "no memory for a page" SLOWER;
	if (rc < 0)
		return "memory that becomes executable is refused (SELinux execmem, "
		       "MemoryDenyWriteExecute, a seccomp filter?)" SLOWER;
	return NULL;
}

void pf_shortcut_make(const struct pf_patch *patches, size_t count, const void *local)
{
	static bool tried;
	const char *refused;

	if (tried)
		return;
	tried = true;
	refused = make(patches, count, local);
	pf_feature_set(PF_FEATURE_SHORTCUT, refused ? PF_FEATURE_NONE : PF_FEATURE_OK, refused);
}
#endif
