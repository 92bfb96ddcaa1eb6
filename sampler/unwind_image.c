#include "sampler/unwind_image.h"
#include "base/kernel.h"
#include "sampler/find_object.h"
#include "sampler/gate.h"
#include "sampler/unwind.h"
#include "sampler/unwind_memory.h"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifdef PF_SMALL
enum { PERMANENT_MAX = 2 };
#else
enum { PERMANENT_MAX = 256 };
#endif

/* Start addresses of the permanent modules, sorted. Written once, before permanent_count. */
static uint64_t permanent[PERMANENT_MAX];
static uint32_t permanent_count; /* atomic */
static uint64_t page_size = 4096;

/* The program itself, from its first segment to its last, and as the loader names it: written as these.
 * Libraries may lie in the gaps between its segments. */
static uint64_t program_low, program_high;
static const void *program_map; /* atomic, last */

/* What pf_unwind_image_open says of an address in the program's code, which is most of them: the loader and
 * the headers need not be asked each time. code_size is atomic and written last; 0: not known. */
static struct {
	uint64_t code_low, code_size;
	uint64_t low, high, table; /* as in struct pf_unwind_image */
} program;

/* The gate. A reader of a closable module counts itself in and then looks for a closer; a closer
 * announces itself and then waits for the readers. Whoever comes second sees the other. */
static uint32_t gate_closers; /* atomic */
static uint32_t gate_readers; /* atomic */

enum { GATE_PATIENCE_NS = 100 * 1000 * 1000, GATE_NAP_NS = 50 * 1000 };

PF_SIGSAFE bool pf_unwind_image_hold(void)
{
	__atomic_fetch_add(&gate_readers, 1, __ATOMIC_SEQ_CST);
	if (PF_LIKELY(__atomic_load_n(&gate_closers, __ATOMIC_SEQ_CST) == 0))
		return true;
	__atomic_fetch_sub(&gate_readers, 1, __ATOMIC_RELEASE);
	return false;
}

PF_SIGSAFE void pf_unwind_image_let_go(void)
{
	__atomic_fetch_sub(&gate_readers, 1, __ATOMIC_RELEASE);
}

PF_HOOK void pf_unwind_close_begin(void)
{
	struct timespec nap = {.tv_nsec = GATE_NAP_NS};

	__atomic_fetch_add(&gate_closers, 1, __ATOMIC_SEQ_CST);
	/* A reader is a handler or a hook: microseconds, unless its thread was preempted. Patience
	 * ends, because a thread that may not run must not hold up the program for good. */
	for (int64_t waited = 0; waited < GATE_PATIENCE_NS; waited += GATE_NAP_NS) {
		if (__atomic_load_n(&gate_readers, __ATOMIC_SEQ_CST) == 0)
			return;
		pf_kernel(SYS_nanosleep, (uintptr_t)&nap, 0, 0, 0, 0, 0);
	}
}

PF_HOOK void pf_unwind_close_end(void)
{
	uint32_t closers = __atomic_load_n(&gate_closers, __ATOMIC_RELAXED);

	pf_unwind_flush();
	/* None left, where a destructor in dlclose has forked: the child has forgotten them. */
	while (closers != 0 && !__atomic_compare_exchange_n(&gate_closers, &closers, closers - 1,
				   false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
		;
}

/* The module's name at the loader, by an address in any segment that it knows; NULL: it knows none. */
static const void *name_at_loader(const struct dl_phdr_info *info)
{
	struct dl_find_object found;

	for (int i = 0; i < info->dlpi_phnum; i++)
		if (info->dlpi_phdr[i].p_type == PT_LOAD &&
		    pf_find_object(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr, &found))
			return found.dlfo_link_map;
	return NULL;
}

static const ElfW(Phdr) * segment_with(const struct dl_phdr_info *info, uint64_t vaddr)
{
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *phdr = &info->dlpi_phdr[i];

		if (phdr->p_type == PT_LOAD && (phdr->p_flags & PF_R) &&
		    vaddr - phdr->p_vaddr < phdr->p_memsz)
			return phdr;
	}
	return NULL;
}

/* The first segment with code is enough. */
static void note_program(const struct dl_phdr_info *info)
{
	const ElfW(Phdr) *code = NULL, *table = NULL, *segment;

	for (int i = info->dlpi_phnum - 1; i >= 0; i--) {
		const ElfW(Phdr) *phdr = &info->dlpi_phdr[i];

		if (phdr->p_type == PT_LOAD && (phdr->p_flags & PF_X))
			code = phdr;
		if (phdr->p_type == PT_GNU_EH_FRAME)
			table = phdr;
	}
	segment = table ? segment_with(info, table->p_vaddr) : NULL;
	if (!code || !segment)
		return;
	program.code_low = info->dlpi_addr + code->p_vaddr;
	program.low = info->dlpi_addr + segment->p_vaddr;
	program.high = program.low + segment->p_memsz;
	program.table = info->dlpi_addr + table->p_vaddr;
	__atomic_store_n(&program.code_size, code->p_memsz, __ATOMIC_RELEASE);
}

/* The modules in the order the loader linked them: those the program was started with come first
 * and the loader itself is among them, so all up to it can never be closed. */
static int note_permanent(struct dl_phdr_info *info, size_t size, void *arg)
{
	uint32_t *count = arg;
	uint64_t low = UINT64_MAX, high = 0;

	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *phdr = &info->dlpi_phdr[i];

		if (phdr->p_type != PT_LOAD)
			continue;
		low = phdr->p_vaddr < low ? phdr->p_vaddr : low;
		high = phdr->p_vaddr + phdr->p_memsz > high ? phdr->p_vaddr + phdr->p_memsz : high;
	}
	if (low == UINT64_MAX)
		return 0;
	low = (low + info->dlpi_addr) & ~(page_size - 1);
	if (*count == 0) {
		program_low = low;
		program_high = high + info->dlpi_addr;
		note_program(info);
		__atomic_store_n(&program_map, name_at_loader(info), __ATOMIC_RELEASE);
	}
	if (*count == PERMANENT_MAX)
		return 1;
	uint32_t at = (*count)++;

	for (; at > 0 && permanent[at - 1] > low; at--)
		permanent[at] = permanent[at - 1];
	permanent[at] = low;
	return info->dlpi_addr == getauxval(AT_BASE);
}

void pf_unwind_image_init(void)
{
	uint32_t count = 0;
	unsigned long page = getauxval(AT_PAGESZ);

	if (__atomic_load_n(&permanent_count, __ATOMIC_ACQUIRE) != 0)
		return;
	if (page != 0)
		page_size = page;
	pf_gate_enter();
	dl_iterate_phdr(note_permanent, &count);
	pf_gate_leave();
	__atomic_store_n(&permanent_count, count, __ATOMIC_RELEASE);
}

void pf_unwind_image_fork_child(void)
{
	gate_closers = gate_readers = 0;
}

static PF_SIGSAFE bool is_permanent(uint64_t map_low)
{
	uint32_t low = 0, high = __atomic_load_n(&permanent_count, __ATOMIC_ACQUIRE);

	while (low < high) {
		uint32_t middle = (low + high) / 2;

		if (permanent[middle] == map_low)
			return true;
		if (permanent[middle] < map_low)
			low = middle + 1;
		else
			high = middle;
	}
	return false;
}

/* Of a program with gaps between its segments (node is one) the loader tells the segment alone: what its
 * unwind info and its headers are in is the whole. */
static PF_SIGSAFE bool find_module(uint64_t address, struct dl_find_object *found)
{
	if (!pf_find_object((uintptr_t)address, found))
		return false;
	if (found->dlfo_link_map == __atomic_load_n(&program_map, __ATOMIC_ACQUIRE)) {
		found->dlfo_map_start = (void *)(uintptr_t)program_low;
		found->dlfo_map_end = (void *)(uintptr_t)program_high;
	}
	return true;
}

PF_SIGSAFE bool pf_unwind_image_is_permanent(uint64_t address)
{
	struct dl_find_object found;

	return find_module(address, &found) && is_permanent((uintptr_t)found.dlfo_map_start);
}

PF_INLINE const void *view(
    const struct pf_unwind_image *image, uint64_t address, void *room, size_t size)
{
	if (!image->copied)
		return (const void *)(uintptr_t)address;
	return pf_unwind_memory_copy(address, room, size) ? room : NULL;
}

/* Does a program header hold the address? Then it is the segment from now on. */
PF_INLINE bool take_segment(
    struct pf_unwind_image *image, const Elf64_Phdr *phdr, uint64_t bias, uint64_t address)
{
	uint64_t low = bias + phdr->p_vaddr, high = low + phdr->p_memsz;

	if (phdr->p_type != PT_LOAD || !(phdr->p_flags & PF_R) || address < low || address >= high)
		return false;
	if (low < image->map_low || high > image->map_high || high < low)
		return false;
	image->low = low;
	image->high = high;
	return true;
}

/* The ELF header is the first thing of a module in memory: find the segment by it. */
static PF_SIGSAFE bool find_segment(struct pf_unwind_image *image, uint64_t address)
{
	Elf64_Ehdr header_room;
	Elf64_Phdr phdr_room;
	const Elf64_Ehdr *header = NULL;
	const Elf64_Phdr *phdr;
	uint64_t bias = 0;
	bool have_bias = false;

	if (image->map_high - image->map_low >= page_size)
		header = view(image, image->map_low, &header_room, sizeof(header_room));
	if (!header || header->e_phoff % sizeof(uint64_t) != 0 || header->e_ident[0] != 0x7f ||
	    header->e_ident[1] != 'E' || header->e_phentsize != sizeof(*phdr) ||
	    header->e_phoff + header->e_phnum * sizeof(*phdr) > page_size)
		return false;
	for (unsigned i = 0; i < header->e_phnum; i++) {
		phdr = view(image, image->map_low + header->e_phoff + i * sizeof(*phdr), &phdr_room,
		    sizeof(phdr_room));
		if (!phdr)
			return false;
		if (phdr->p_type == PT_LOAD && !have_bias) {
			bias = image->map_low - (phdr->p_vaddr & ~(page_size - 1));
			have_bias = true;
		}
		if (have_bias && take_segment(image, phdr, bias, address))
			return true;
	}
	return false;
}

PF_INLINE bool in_segment(const struct pf_unwind_image *image, uint64_t address, uint64_t size)
{
	return address >= image->low && address < image->high && size <= image->high - address;
}

PF_SIGSAFE bool pf_unwind_image_reach(
    struct pf_unwind_image *image, uint64_t address, uint64_t size)
{
	if (PF_LIKELY(in_segment(image, address, size)))
		return true;
	return find_segment(image, address) && in_segment(image, address, size);
}

/* It can never be closed. */
PF_INLINE void open_program(struct pf_unwind_image *image)
{
	image->map_low = program_low;
	image->map_high = program_high;
	image->low = program.low;
	image->high = program.high;
	image->table = program.table;
	image->permanent = true;
	image->copied = false;
}

PF_SIGSAFE enum pf_unwind_image_found pf_unwind_image_open(
    struct pf_unwind_image *image, uint64_t address, bool copied)
{
	uint64_t code_size = __atomic_load_n(&program.code_size, __ATOMIC_ACQUIRE);
	struct dl_find_object found;

	image->held = false;
	if (PF_LIKELY(address - program.code_low < code_size)) {
		open_program(image);
		return PF_UNWIND_IMAGE_OK;
	}
	if (!find_module(address, &found) || !found.dlfo_eh_frame)
		return PF_UNWIND_IMAGE_NONE;
	image->permanent = is_permanent((uintptr_t)found.dlfo_map_start);
	image->copied = copied && !image->permanent;
	if (!image->permanent && !image->copied) {
		if (!pf_unwind_image_hold())
			return PF_UNWIND_IMAGE_CLOSING;
		image->held = true;
		/* Only now can it not go away; before, it may have. */
		if (!find_module(address, &found) || !found.dlfo_eh_frame) {
			pf_unwind_image_close(image);
			return PF_UNWIND_IMAGE_NONE;
		}
	}
	image->map_low = (uintptr_t)found.dlfo_map_start;
	image->map_high = (uintptr_t)found.dlfo_map_end;
	image->low = image->high = 0;
	image->table = (uintptr_t)found.dlfo_eh_frame;
	return PF_UNWIND_IMAGE_OK;
}

PF_SIGSAFE void pf_unwind_image_close(struct pf_unwind_image *image)
{
	if (image->held)
		pf_unwind_image_let_go();
	image->held = false;
}

PF_SIGSAFE bool pf_unwind_image_is_there(const struct pf_unwind_image *image, uint64_t address)
{
	struct dl_find_object found;

	return find_module(address, &found) && (uintptr_t)found.dlfo_map_start == image->map_low &&
	       (uintptr_t)found.dlfo_map_end == image->map_high &&
	       (uintptr_t)found.dlfo_eh_frame == image->table;
}

PF_SIGSAFE const void *pf_unwind_image_view(
    struct pf_unwind_image *image, uint64_t address, void *room, size_t size)
{
	return pf_unwind_image_reach(image, address, size) ? view(image, address, room, size)
							   : NULL;
}
