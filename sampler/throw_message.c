#include "sampler/throw_message.h"
#include "base/knob.h"
#include "base/mark.h"
#include "sampler/find_object.h"
#include "sampler/throw_what.h"

#include <errno.h>
#include <link.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { DEPTH_MAX = 16, WHAT = 2 /* in a vtable behind the two destructors */ };

/* Of a class with one base, and of one with several (Itanium C++ ABI, 2.9.5). */
struct one_base {
	struct pf_type_info info;
	const struct pf_type_info *base;
};

struct many_bases {
	struct pf_type_info info;
	uint32_t flags, count;
	struct {
		const struct pf_type_info *type;
		int64_t where; /* offset << 8, flags below */
	} bases[];
};

enum { BASE_VIRTUAL = 1, BASE_PUBLIC = 2 };

static PF_HOOK bool same(const char *a, const char *b)
{
	if (*a == '*')
		a++;
	while (*a && *a == *b)
		a++, b++;
	return *a == *b;
}

/* "N10__cxxabiv120__si_class_type_infoE" and the other one, whoever's copy of them it is. */
static PF_HOOK const char *class_of(const struct pf_type_info *type)
{
	return ((const struct pf_type_info *)type->functions[-1])->name;
}

static PF_HOOK char *base_at(char *object, int64_t where)
{
	int64_t offset = where >> 8;

	/* A virtual base: its offset stands in the object's vtable. */
	if (where & BASE_VIRTUAL) {
		const char *functions = *(char **)(void *)object;

		offset = *(const int64_t *)(const void *)(functions + offset);
	}
	return object + offset;
}

/* The part of the object that is its (first) public base of this name; NULL: it has none. */
static PF_HOOK char *find_base(
    const struct pf_type_info *type, char *object, const char *wanted, int depth)
{
	const char *class;

	if (same(type->name, wanted))
		return object;
	if (depth == DEPTH_MAX)
		return NULL;
	class = class_of(type);
	if (same(class, "N10__cxxabiv120__si_class_type_infoE"))
		return find_base(((const struct one_base *)type)->base, object, wanted, depth + 1);
	if (same(class, "N10__cxxabiv121__vmi_class_type_infoE")) {
		const struct many_bases *many = (const struct many_bases *)type;

		for (uint32_t i = 0; i < many->count && i < DEPTH_MAX; i++) {
			int64_t where = many->bases[i].where;
			char *found;

			if (!(where & BASE_PUBLIC))
				continue;
			found = find_base(
			    many->bases[i].type, base_at(object, where), wanted, depth + 1);
			if (found)
				return found;
		}
	}
	return NULL;
}

/* A call that changes nothing, of a kind that does not exist, reads its argument first. */
PF_HOOK bool pf_throw_readable(const void *at)
{
	enum { NO_SUCH_KIND = -1, MASK_BYTES = 8 };
	int saved = errno;
	bool readable;

	if ((uintptr_t)at < MASK_BYTES)
		return false; /* for a null pointer the kernel looks at nothing */
	syscall(SYS_rt_sigprocmask, NO_SUCH_KIND, (uintptr_t)at & ~(uintptr_t)(MASK_BYTES - 1),
	    NULL, MASK_BYTES);
	readable = errno != EFAULT;
	errno = saved;
	return readable;
}

/* Where the loader has put a table of this module. */
static PF_HOOK uintptr_t table_at(const struct link_map *map, const ElfW(Dyn) * entry)
{
	uintptr_t at = entry->d_un.d_ptr;

	return at < map->l_addr ? at + map->l_addr : at;
}

PF_HOOK const char *pf_throw_plt_name(const void *code, uint32_t number)
{
	const ElfW(Rela) *relocations = NULL;
	const ElfW(Sym) *symbols = NULL;
	const char *names = NULL;
	struct dl_find_object found;
	uint64_t bytes = 0;

	if (!pf_find_object((uintptr_t)code, &found) || !found.dlfo_link_map)
		return NULL;
	for (const ElfW(Dyn) *d = found.dlfo_link_map->l_ld; d->d_tag != DT_NULL; d++) {
		if (d->d_tag == DT_JMPREL)
			relocations = (const void *)table_at(found.dlfo_link_map, d);
		if (d->d_tag == DT_PLTRELSZ)
			bytes = d->d_un.d_val;
		if (d->d_tag == DT_SYMTAB)
			symbols = (const void *)table_at(found.dlfo_link_map, d);
		if (d->d_tag == DT_STRTAB)
			names = (const void *)table_at(found.dlfo_link_map, d);
	}
	if (!relocations || !symbols || !names || number >= bytes / sizeof(*relocations))
		return NULL;
	return names + symbols[ELF64_R_SYM(relocations[number].r_info)].st_name;
}

static PF_HOOK void copy(char *out, const char *text)
{
	uintptr_t tried =
	    UINTPTR_MAX; /* the page; nearly null is not null, and has a page as well */
	int n = 0;

	for (; text && n < PF_THROW_MESSAGE - 1; n++) {
		uintptr_t page = (uintptr_t)(text + n) & ~(uintptr_t)4095;

		if (page != tried && !pf_throw_readable(text + n))
			break;
		tried = page;
		if (!text[n])
			break;
		out[n] = text[n];
	}
	out[n] = '\0';
}

/* Both keep a pointer to their text behind the vtable pointer, in libstdc++ and in libc++. */
static PF_HOOK const char *standard_text(const struct pf_type_info *type, char *object)
{
	static const char *const names[] = {"St13runtime_error", "St11logic_error"};

	for (int i = 0; i < 2; i++) {
		char *base = find_base(type, object, names[i], 0);

		if (base)
			return *(const char **)(void *)(base + sizeof(void *));
	}
	return NULL;
}

PF_HOOK const char *pf_real_what(const void *function, const void *object);

/* Code of the program, run because its user said so. */
PF_HOOK const char *pf_real_what(const void *function, const void *object)
{
	return ((const char *(*)(const void *))(uintptr_t)function)(object);
}

PF_HOOK void pf_throw_message(char *out, const struct pf_type_info *type, void *object)
{
	int64_t allowed = pf_knob_get(PF_KNOB_EXCEPTION_MESSAGES);
	const void *const *functions;
	const char *text = NULL;
	uint64_t result;
	char *base;

	out[0] = '\0';
	if (!allowed || !type || !object)
		return;
	base = find_base(type, object, "St9exception", 0);
	if (!base)
		return;
	functions = *(const void *const **)(void *)base;
	if (pf_throw_what(functions[WHAT], base, &result))
		text = (const char *)(uintptr_t)result;
	else if (allowed == 2)
		text = pf_real_what(functions[WHAT], base);
	else
		text = standard_text(type, object);
	copy(out, text);
}
