#include "sampler/operator.h"
#include "base/mark.h"
#include "sampler/module.h"
#include "sampler/real.h"

#include <dlfcn.h>
#include <stddef.h>
#include <string.h>

/* ---- what a module calls ---- */

struct search {
	const void *address;
	struct pf_module module;
	bool found;
};

static int look_into_module(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct search *search = arg;

	search->found = pf_module_read(&search->module, info) &&
			pf_module_has(&search->module, search->address);
	return search->found;
}

/* Is there a slot for another module's function of which this is true? Whoever asks keeps the module loaded. */
static bool has_import(
    const struct pf_module *m, bool (*is_it)(const char *name, const void *arg), const void *arg)
{
	size_t last = 0; /* no symbol; tables of methods name one many times */

	for (int table = 0; table < 2; table++)
		for (size_t i = 0; i < m->relocation_count[table]; i++) {
			size_t index = ELF64_R_SYM(m->relocations[table][i].r_info);
			const ElfW(Sym) *symbol = &m->symbols[index];
			unsigned char type = ELF64_ST_TYPE(symbol->st_info);

			if (index == last || symbol->st_shndx != SHN_UNDEF ||
			    (type != STT_FUNC && type != STT_NOTYPE))
				continue;
			last = index;
			if (is_it(m->strings + symbol->st_name, arg))
				return true;
		}
	return false;
}

/* Of what these return a block may be made that is counted already. */
static bool allocates(const char *name, const void *unused)
{
	static const char *const names[] = {"malloc", "calloc", "realloc", "reallocarray",
	    "posix_memalign", "aligned_alloc", "memalign", "valloc", "pvalloc",
	    /* libstdc++'s other forms end in _Znwm */
	    "_ZnwmSt11align_val_t", "_ZnamSt11align_val_t", "_ZnwmSt11align_val_tRKSt9nothrow_t",
	    "_ZnamSt11align_val_tRKSt9nothrow_t",
	    /* any of them, asked for by name */
	    "dlsym", "dlvsym",
#define X(name, type, params, args) #name,
	    PF_REALS_BSD(X) PF_REALS_JE(X) PF_REALS_TC(X) PF_REALS_MI(X)
#undef X
	};

	for (size_t i = 0; i < PF_COUNT(names); i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return false;
}

/* ---- libraries ---- */

/* Of C and C++: what they have allocates by names that we know, or not at all. */
static bool is_runtime(const struct link_map *module)
{
	static const char *const starts[] = {"ld-linux", "libatomic.so", "libc++.so",
	    "libc++abi.so", "libc.so", "libdl.so", "libgcc_s.so", "libm.so", "libpthread.so",
	    "librt.so", "libstdc++.so"};
	const char *slash = strrchr(module->l_name, '/');
	const char *base = slash ? slash + 1 : module->l_name;

	for (size_t i = 0; i < PF_COUNT(starts); i++)
		if (strncmp(base, starts[i], strlen(starts[i])) == 0)
			return true;
	return false;
}

/* Any other library's function may end in malloc: libgccpp's operator new is libgc's GC_malloc. */
static bool leads_astray(const char *name, const void *arg)
{
	const struct link_map *allocator = arg;
	const struct link_map *module;

	if (allocates(name, NULL))
		return true;
	module = pf_real_module(pf_real_find(name));
	return module && module != allocator && !is_runtime(module);
}

bool pf_operator_is_own(void *function, const struct link_map *allocator)
{
	const struct link_map *library = pf_real_module(function);
	struct search search = {.address = function};
	void *handle;

	/* The executable is the first in its list. */
	if (!library || !library->l_prev || library == allocator || is_runtime(library))
		return false;
	handle = dlopen(library->l_name, RTLD_LAZY | RTLD_NOLOAD);
	if (!handle)
		return false;
	dl_iterate_phdr(look_into_module, &search);
	if (search.found && !has_import(&search.module, leads_astray, allocator))
		return true; /* with the handle: it stays as long as hooks lead there */
	dlclose(handle);
	return false;
}

/* ---- the executable ---- */

/* An operator new of another module's ends in malloc, or is hooked. */
static bool leads_by_name(const char *name, const void *unused)
{
	return allocates(name, NULL) || strncmp(name, "_Znw", 4) == 0 ||
	       strncmp(name, "_Zna", 4) == 0;
}

static bool leads_to_malloc(const char *name, const void *allocator)
{
	return leads_by_name(name, NULL) || leads_astray(name, allocator);
}

enum pf_operator_calls pf_operator_calls(void *function, const struct pf_reach_throw *throws,
    const struct link_map *allocator, bool by_name)
{
	static const enum pf_operator_calls calls[] = {
	    [PF_REACH_UNKNOWN] = PF_OPERATOR_UNKNOWN,
	    [PF_REACH_NO] = PF_OPERATOR_HIDDEN,
	    [PF_REACH_YES] = PF_OPERATOR_SEEN,
	};
	bool (*leads)(const char *, const void *) = by_name ? leads_by_name : leads_to_malloc;
	struct search search = {.address = function};
	const struct link_map *module = pf_real_module(function);

	if (module && !module->l_prev && module != allocator)
		dl_iterate_phdr(look_into_module, &search); /* it stays for ever */
	if (!search.found)
		return PF_OPERATOR_SEEN;
	if (!has_import(&search.module, leads, allocator))
		return PF_OPERATOR_HIDDEN;
	return calls[pf_reach(&search.module, function, throws, leads, allocator)];
}
