/* Back end A: libunwind's generic API, the one that makes no assumption about whose memory it walks,
 * with accessors of ours. The library is opened here and never linked: as a dependency it would
 * take over the program's C++ exceptions (reference/stacks.md 0, 4).
 *
 * It takes a mutex and blocks signals at each step, so it is for our own threads and for tests.
 */
#include "base/feature.h"
#include "sampler/gate.h"
#include "sampler/unwind.h"
#include "sampler/unwind_cache.h"
#include "sampler/unwind_image.h"
#include "sampler/unwind_memory.h"

#include <dlfcn.h>
#include <errno.h>
#include <libunwind.h>
#include <string.h>

enum { CACHE_ENTRIES = 4096 }; /* the default 128 make a deep walk four times slower */

#define NAME_OF_(x) #x
#define NAME_OF(x)  NAME_OF_(x)
#define LIBRARY     "libunwind-" NAME_OF(UNW_TARGET) ".so.8"

typedef __typeof__(unw_create_addr_space) create_fn;
typedef __typeof__(unw_set_caching_policy) set_policy_fn;
typedef __typeof__(unw_set_cache_size) set_size_fn;
typedef __typeof__(unw_flush_cache) flush_fn;
typedef __typeof__(unw_init_remote) init_fn;
typedef __typeof__(unw_step) step_fn;
typedef __typeof__(unw_get_reg) get_reg_fn;
typedef __typeof__(unw_is_signal_frame) is_signal_fn;
typedef int search_fn(
    unw_addr_space_t, unw_word_t, unw_dyn_info_t *, unw_proc_info_t *, int, void *);

static struct {
	create_fn *create;
	set_policy_fn *set_policy;
	set_size_fn *set_size;
	flush_fn *flush;
	init_fn *init;
	step_fn *step;
	get_reg_fn *get_reg;
	is_signal_fn *is_signal;
	search_fn *search;
} lib;

static unw_addr_space_t space; /* atomic; NULL until the library is ready */
static uint32_t inside;        /* atomic: threads that are in the library, and may hold its locks */
static uint32_t flushed;       /* atomic; the generation that its cache is of */

struct walk {
	const struct pf_unwind_regs *regs;
	struct pf_unwind_memory memory;
	struct pf_unwind_image image; /* of the module read last; low == high: none */
};

static int find_proc_info(
    unw_addr_space_t as, unw_word_t ip, unw_proc_info_t *info, int need, void *arg)
{
	struct walk *w = arg;
	unw_dyn_info_t table = {.format = UNW_INFO_FORMAT_REMOTE_TABLE};
	struct {
		uint32_t encodings, eh_frame, count;
	} room;
	const __typeof__(room) *header;
	int rc = -UNW_ENOINFO;

	if (pf_unwind_image_open(&w->image, ip, true) != PF_UNWIND_IMAGE_OK)
		return rc;
	header = pf_unwind_image_view(&w->image, w->image.table, &room, sizeof(room));
	if (!header ||
	    header->encodings != 0x3b031b01) /* the sorted table that every linker makes */
		return rc;
	table.start_ip = w->image.map_low;
	table.end_ip = w->image.map_high;
	table.u.rti.segbase = w->image.table;
	table.u.rti.table_data = w->image.table + sizeof(room);
	table.u.rti.table_len = header->count;
	return lib.search(as, ip, &table, info, need, arg);
}

static void put_unwind_info(unw_addr_space_t as, unw_proc_info_t *info, void *arg)
{
}

static int get_dyn_info_list_addr(unw_addr_space_t as, unw_word_t *out, void *arg)
{
	return -UNW_ENOINFO;
}

static bool load_module(struct walk *w, uint64_t address, uint64_t *out)
{
	const void *at;
	uint64_t room;

	if (address < w->image.map_low || address >= w->image.map_high) {
		if (pf_unwind_image_open(&w->image, address, true) != PF_UNWIND_IMAGE_OK)
			return false;
	}
	at = pf_unwind_image_view(&w->image, address, &room, sizeof(room));
	if (!at)
		return false;
	memcpy(out, at, sizeof(*out));
	return true;
}

static int access_mem(
    unw_addr_space_t as, unw_word_t address, unw_word_t *out, int write, void *arg)
{
	struct walk *w = arg;
	struct pf_unwind_memory other;
	uint64_t value;

	if (write)
		return -UNW_EINVAL;
	if (!pf_unwind_load(&w->memory, address, &value) && !load_module(w, address, &value)) {
		if (w->memory.copy)
			return -UNW_EINVAL;
		/* Beyond a signal frame the stack is another one. */
		pf_unwind_bounds(address, &other);
		if (!pf_unwind_load(&other, address, &value))
			return -UNW_EINVAL;
	}
	*out = value;
	return 0;
}

static int access_reg(unw_addr_space_t as, unw_regnum_t reg, unw_word_t *out, int write, void *arg)
{
	const struct walk *w = arg;

	if (write)
		return -UNW_EINVAL;
	if (reg < 0 || reg >= PF_REG_COUNT || !(w->regs->known & PF_REG_BIT(reg)))
		return -UNW_EBADREG;
	*out = w->regs->value[reg] - (reg == PF_REG_PC && w->regs->pc_is_return);
	return 0;
}

static int access_fpreg(
    unw_addr_space_t as, unw_regnum_t reg, unw_fpreg_t *out, int write, void *arg)
{
	return -UNW_EBADREG;
}

static int resume(unw_addr_space_t as, unw_cursor_t *cursor, void *arg)
{
	return -UNW_EINVAL;
}

static int get_proc_name(
    unw_addr_space_t as, unw_word_t address, char *out, size_t size, unw_word_t *offset, void *arg)
{
	return -UNW_EUNSPEC;
}

static bool find(void *handle, const char *name, void *out)
{
	void *at = dlsym(handle, name);

	memcpy(out, &at, sizeof(at));
	return at != NULL;
}

#define FIND(handle, field, name) find(handle, NAME_OF(UNW_ARCH_OBJ(name)), &lib.field)

static bool find_all(void *handle)
{
	return FIND(handle, create, create_addr_space) &&
	       FIND(handle, set_policy, set_caching_policy) &&
	       FIND(handle, set_size, set_cache_size) && FIND(handle, flush, flush_cache) &&
	       FIND(handle, init, init_remote) && FIND(handle, step, step) &&
	       FIND(handle, get_reg, get_reg) && FIND(handle, is_signal, is_signal_frame) &&
	       FIND(handle, search, dwarf_search_unwind_table);
}

static int refuse(const char *why)
{
	pf_feature_set(PF_FEATURE_UNWIND_LIB, PF_FEATURE_NONE, why);
	return -EOPNOTSUPP;
}

int pf_unwind_lib_open(void)
{
	static unw_accessors_t accessors = {
	    .find_proc_info = find_proc_info,
	    .put_unwind_info = put_unwind_info,
	    .get_dyn_info_list_addr = get_dyn_info_list_addr,
	    .access_mem = access_mem,
	    .access_reg = access_reg,
	    .access_fpreg = access_fpreg,
	    .resume = resume,
	    .get_proc_name = get_proc_name,
	};
	unw_addr_space_t fresh;
	void *handle;
	bool complete;

	if (__atomic_load_n(&space, __ATOMIC_ACQUIRE))
		return 0;
	pf_gate_enter();
	pf_gate_open_begin();
	handle = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
	pf_gate_open_end();
	complete = handle && find_all(handle);
	pf_gate_leave();
	if (!handle)
		return refuse(LIBRARY " is not installed");
	if (!complete)
		return refuse(LIBRARY " lacks a function of its generic API");
	fresh = lib.create(&accessors, 0);
	if (!fresh)
		return refuse("libunwind refuses to make an address space");
	lib.set_policy(fresh, UNW_CACHE_GLOBAL);
	lib.set_size(fresh, CACHE_ENTRIES, 0);
	__atomic_store_n(&space, fresh, __ATOMIC_RELEASE);
	pf_feature_set(PF_FEATURE_UNWIND_LIB, PF_FEATURE_OK, NULL);
	return 0;
}

void pf_unwind_lib_fork_child(void)
{
	if (__atomic_load_n(&inside, __ATOMIC_RELAXED) != 0)
		space = NULL;
	inside = 0;
}

/* Rows of modules that were closed since the last walk. */
static void flush_stale(unw_addr_space_t as)
{
	uint32_t now = __atomic_load_n(&pf_unwind_generation, __ATOMIC_ACQUIRE);

	if (__atomic_exchange_n(&flushed, now, __ATOMIC_ACQ_REL) != now)
		lib.flush(as, 0, 0);
}

void pf_unwind_lib_forget(void)
{
	unw_addr_space_t as = __atomic_load_n(&space, __ATOMIC_ACQUIRE);

	__atomic_fetch_add(&inside, 1, __ATOMIC_ACQ_REL);
	if (as)
		lib.flush(as, 0, 0);
	__atomic_fetch_sub(&inside, 1, __ATOMIC_ACQ_REL);
}

static enum pf_unwind_end end_of(int step)
{
	if (step == 0)
		return PF_UNWIND_ROOT;
	if (step > 0)
		return PF_UNWIND_TRUNCATED;
	if (step == -UNW_ENOINFO)
		return PF_UNWIND_NO_INFO;
	if (step == -UNW_EBADREG)
		return PF_UNWIND_UNKNOWN_REGISTER;
	if (step == -UNW_EBADFRAME || step == -UNW_ESTOPUNWIND)
		return PF_UNWIND_LOOP;
	return step == -UNW_EINVAL ? PF_UNWIND_BAD_MEMORY : PF_UNWIND_REFUSED;
}

uint32_t pf_unwind_lib(const struct pf_unwind_regs *regs, const struct pf_unwind_memory *memory,
    uint64_t *out, uint32_t max, enum pf_unwind_end *end)
{
	unw_addr_space_t as = __atomic_load_n(&space, __ATOMIC_ACQUIRE);
	struct walk w = {.regs = regs, .memory = *memory};
	unw_cursor_t cursor;
	bool exact =
	    true; /* the PC is no return address; of the first, access_reg has seen to it */
	uint32_t count = 0;
	int step;

	*end = PF_UNWIND_REFUSED;
	if (!as)
		return 0;
	__atomic_fetch_add(&inside, 1, __ATOMIC_ACQ_REL);
	flush_stale(as);
	step = lib.init(&cursor, as, &w);
	for (step = step < 0 ? step : 1; step > 0 && count < max; step = lib.step(&cursor)) {
		unw_word_t pc = 0;
		bool was_exact = exact;

		lib.get_reg(&cursor, UNW_REG_IP, &pc);
		if (pc == 0) {
			step = 0;
			break;
		}
		/* It says so of the frame that a signal interrupted. Then the one before is the
		 * kernel's trampoline, at its first instruction: nobody called from in front. */
		exact = count == 0 || lib.is_signal(&cursor) > 0;
		if (exact && !was_exact)
			out[count - 1]++;
		out[count++] = exact ? pc : pc - 1;
	}
	__atomic_fetch_sub(&inside, 1, __ATOMIC_ACQ_REL);
	*end = end_of(step);
	return count;
}
