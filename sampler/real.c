#include "sampler/real.h"
#include "base/glibc.h"
#include "base/mark.h"
#include "sampler/find_object.h"
#include "sampler/gate.h"
#include "sampler/module.h"

#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <stdint.h>
#include <string.h>

void *pf_real_pointers[PF_REAL_COUNT] PF_WARM;
static enum pf_real_home home;
static const void *operators; /* in a library that has operator new with a pool of its own */
static const void *runtime;   /* in the one that has what that library lacks of them */
static int resolved;          /* atomic */

#define X(name, type, params, args)                                                                \
	PF_HOOK type pf_real_##name params                                                         \
	{                                                                                          \
		return PF_REAL_CALL(name, args);                                                   \
	}
PF_REALS(X)
#undef X

/* ---- looking up ---- */

/* dladdr() would walk all symbols of the module for the nearest one: 25 us in libc. */
const struct link_map *pf_real_module(const void *address)
{
	struct link_map *module = NULL;
	struct dl_find_object object;
	Dl_info info;

	if (!address)
		return NULL;
	if (pf_find_object((uintptr_t)address, &object))
		return object.dlfo_link_map;
	if (!dladdr1(address, &info, (void **)&module, RTLD_DL_LINKMAP))
		return NULL;
	return module;
}

bool pf_real_are_together(void *a, void *b)
{
	const struct link_map *module = pf_real_module(a);

	return module && module == pf_real_module(b);
}

/* The executable is the first in its list. */
static bool is_in_executable(const void *address)
{
	const struct link_map *module = pf_real_module(address);

	return !module || !module->l_prev;
}

bool pf_real_is_executables(const void *function)
{
	struct dl_find_object object;

	return pf_find_object((uintptr_t)function, &object) && object.dlfo_link_map &&
	       !object.dlfo_link_map->l_prev;
}

struct stand_in {
	const char *symbol;
	void *address; /* NULL: none */
	bool known;
};

/* The executable is the first that one is told of. */
static int look_into_executable(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct stand_in *wanted = arg;
	struct pf_module executable;

	if (pf_module_read(&executable, info) && executable.hash_table) {
		wanted->address = pf_module_stand_in(&executable, wanted->symbol);
		wanted->known = true;
	}
	return 1;
}

/* An executable at a fixed address that takes malloc's address has an undefined symbol with a
 * value: its own PLT entry, which the whole process then uses as "the address of malloc". Calling
 * that would come back to us through the slot we patched. Without a hash table the question is put to
 * dladdr1(), which walks all symbols: 30,000 in a compiler, 170 us. */
static bool is_plt_entry(const char *symbol, void *address)
{
	struct stand_in wanted = {.symbol = symbol};
	const ElfW(Sym) *nearest = NULL;
	Dl_info info;

	if (!is_in_executable(address))
		return false;
	dl_iterate_phdr(look_into_executable, &wanted);
	if (wanted.known)
		return wanted.address == address;
	return dladdr1(address, &info, (void **)&nearest, RTLD_DL_SYMENT) && nearest &&
	       nearest->st_shndx == SHN_UNDEF;
}

/* The first definition behind the executable, in load order. */
static void *find_behind(const struct link_map *executable, const char *symbol)
{
	for (const struct link_map *m = executable->l_next; m; m = m->l_next) {
		void *handle = dlopen(m->l_name, RTLD_LAZY | RTLD_NOLOAD);
		void *found;

		if (!handle)
			continue;
		/* This also searches what m depends on, which is not its turn yet. */
		found = dlsym(handle, symbol);
		dlclose(handle);
		if (found && pf_real_module(found) == m)
			return found;
	}
	return NULL;
}

void *pf_real_find(const char *symbol)
{
	void *found = dlsym(RTLD_DEFAULT, symbol);
	const struct link_map *executable;

	if (!found || !is_plt_entry(symbol, found))
		return found;
	executable = pf_real_module(found);
	return executable ? find_behind(executable, symbol) : NULL;
}

static bool exports_a_mark(void)
{
	static const char *const marks[] = {
	    "__asan_init", "__hwasan_init", "__lsan_do_leak_check", "__msan_init", "__tsan_init"};

	for (size_t i = 0; i < PF_COUNT(marks); i++)
		if (dlsym(RTLD_DEFAULT, marks[i]))
			return true;
	return false;
}

/* A runtime that is linked in need not export names of its own, only those of libc that it stands in
 * for; a program with an allocator of its own has the first of them (as in cli/program.c). */
static bool stands_in_for_libc(void)
{
	static const char *const names[] = {"malloc", "pthread_create", "sigaction"};
	const struct link_map *libc = pf_real_module(dlsym(RTLD_DEFAULT, "gnu_get_libc_version"));
	const struct link_map *first = pf_real_module(pf_real_find(names[0]));

	for (size_t i = 1; i < PF_COUNT(names); i++)
		if (pf_real_module(pf_real_find(names[i])) != first)
			return false;
	return first && first != libc;
}

bool pf_real_sanitized(void)
{
	bool found;

	pf_gate_enter();
	found = exports_a_mark() || stands_in_for_libc();
	dlerror(); /* nobody shall find our misses */
	pf_gate_leave();
	return found;
}

bool pf_real_clock_is_replaced(void)
{
	bool replaced;

	pf_gate_enter();
	replaced = !pf_real_are_together(
	    pf_real_find("clock_gettime"), dlsym(RTLD_DEFAULT, "gnu_get_libc_version"));
	dlerror(); /* nobody shall find our misses */
	pf_gate_leave();
	return replaced;
}

static enum pf_real_home find_home(const struct link_map *module, bool sanitized)
{
	if (sanitized)
		return PF_REAL_HOME_SANITIZER;
	if (module && module == pf_real_module(dlsym(RTLD_DEFAULT, "gnu_get_libc_version")))
		return PF_REAL_HOME_LIBC;
	/* The executable is the first in every list and has no name. */
	if (module && !module->l_prev && module->l_name[0] == '\0')
		return PF_REAL_HOME_PROGRAM;
	return PF_REAL_HOME_LIBRARY;
}

/* libstdc++'s operator new calls malloc, and would be counted twice. An allocator's own does not, nor one
 * with a pool of its own. */
static bool is_operator(enum pf_real which)
{
	return which >= PF_REAL__Znwm && which < PF_REAL_cfree;
}

/* An allocator's own, if at all; in a program of the same name they are its own functions. */
static bool is_alias(enum pf_real which)
{
	return which >= PF_REAL_cfree && which < PF_REAL_mallocx;
}

/* Whose own names they are, by the first of them: without that the others are not looked for. */
static enum pf_real leader(enum pf_real which)
{
	if (which >= PF_REAL_mi_malloc)
		return PF_REAL_mi_malloc;
	if (which >= PF_REAL_tc_malloc)
		return PF_REAL_tc_malloc;
	return which >= PF_REAL_mallocx ? PF_REAL_mallocx : which;
}

/* A compiler exports its own operator new, and 30,000 symbols for dladdr() beside it: what would not be
 * hooked is not looked for. */
static bool is_wanted(enum pf_real which)
{
	enum pf_real first = leader(which);

	if (is_operator(which) && home == PF_REAL_HOME_LIBC && !operators)
		return false;
	if (is_alias(which) && home == PF_REAL_HOME_PROGRAM)
		return false;
	return first == which || pf_real_pointers[first];
}

const char *const pf_real_news[PF_REAL_NEWS] = {
    "_Znwm", "_Znam", "_ZnwmSt11align_val_t", "_ZnamSt11align_val_t"};
static const void *looked_at[PF_REAL_NEWS];
static enum pf_operator_calls operator_calls;

static void look_at_operators(const struct link_map *allocator)
{
	struct pf_reach_throw throws = {(uintptr_t)pf_real_find("__cxa_allocate_exception"),
	    (uintptr_t)pf_real_find("__cxa_throw")};

	for (int i = 0; i < PF_REAL_NEWS; i++) {
		void *found = pf_real_find(pf_real_news[i]);
		enum pf_operator_calls calls;

		if (!found || !is_in_executable(found))
			continue;
		looked_at[i] = found;
		calls = pf_operator_calls(found, &throws, allocator, false);
		if (calls > operator_calls)
			operator_calls = calls;
	}
}

enum pf_operator_calls pf_real_operator_calls(void)
{
	return operator_calls;
}

bool pf_real_has_looked_at(const void *operator_new)
{
	for (int i = 0; i < PF_REAL_NEWS; i++)
		if (looked_at[i] == operator_new)
			return true;
	return false;
}

/* The first of the operators stands for all: a library that leaves it to another has none to speak of. */
static const void *find_operators(const struct link_map *allocator)
{
	void *found = home == PF_REAL_HOME_SANITIZER ? NULL : pf_real_find("_Znwm");

	return found && pf_operator_is_own(found, allocator) ? found : NULL;
}

/* What was found under an allocator's or an operator's name: is it to be hooked? libstdc++'s forms beside a
 * library's end in that one's, through slots of libstdc++. */
static bool is_accepted(enum pf_real which, const void *found, const struct link_map *allocator)
{
	const struct link_map *module;

	if (!is_operator(which) && !is_alias(which))
		return true;
	module = pf_real_module(found);
	if (module == allocator)
		return true;
	if (!operators || is_alias(which) || !module)
		return false;
	if (module == pf_real_module(operators))
		return true;
	if (module->l_prev)
		runtime = found;
	return false;
}

static void look_up_all(bool sanitized)
{
	static const char *const names[] = {
#define X(name, type, params, args) #name,
	    PF_REALS(X)
#undef X
	};
	const struct link_map *allocator = pf_real_module(pf_real_find("malloc"));

	home = find_home(allocator, sanitized);
	operators = find_operators(allocator);
	if (home != PF_REAL_HOME_SANITIZER)
		look_at_operators(allocator);
	for (int i = 0; i < PF_REAL_COUNT; i++) {
		enum pf_real which = (enum pf_real)i;
		void *found = is_wanted(which) ? pf_real_find(names[i]) : NULL;

		if (!is_accepted(which, found, allocator))
			found = NULL;
		__atomic_store_n(&pf_real_pointers[i], found, __ATOMIC_RELEASE);
	}
	dlerror(); /* nobody shall find our misses */
}

int pf_real_resolve(void)
{
	if (!__atomic_load_n(&resolved, __ATOMIC_ACQUIRE)) {
		bool sanitized = pf_real_sanitized();

		pf_gate_enter();
		look_up_all(sanitized);
		pf_gate_leave();
		__atomic_store_n(&resolved, 1, __ATOMIC_RELEASE);
	}
	if (!pf_real_pointers[PF_REAL_malloc] || !pf_real_pointers[PF_REAL_free])
		return -ENOENT;
	return 0;
}

enum pf_real_home pf_real_home(void)
{
	return home;
}

const void *pf_real_operators(void)
{
	return operators;
}

const void *pf_real_runtime(void)
{
	return runtime;
}
