/* Names of real functions: the truth is what the compiler and dlsym() say. */
#include "base/buf.h"
#include "base/counter.h"
#include "base/profile.h"
#include "render/elf.h"
#include "render/render.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

/* Every executable mapping of this process, with build ids from the files. */
static void add_own_mappings(struct pf_profile *p)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[PATH_MAX + 128], path[PATH_MAX], access[5];
	unsigned long start, limit, offset;

	assert_non_null(maps);
	while (fgets(line, sizeof(line), maps)) {
		struct pf_elf *elf = NULL;

		path[0] = '\0';
		if (sscanf(line, "%lx-%lx %4s %lx %*s %*s %4095[^\n]", &start, &limit, access,
			&offset, path) < 4 ||
		    access[2] != 'x' || !path[0])
			continue;
		pf_elf_open(&elf, path);
		pf_profile_add_mapping(
		    p, start, limit, offset, path, elf ? pf_elf_build_id(elf) : "");
		pf_elf_close(elf);
	}
	fclose(maps);
}

static void add_address(struct pf_profile *p, const void *address)
{
	uint64_t pc = (uint64_t)(uintptr_t)address;

	pf_profile_add_sample(p, &pc, 1, (const int64_t[]){1});
}

static const struct pf_line *line_at(const struct pf_profile *p, const void *address)
{
	const struct pf_location *l = pf_profile_location(p, (uint64_t)(uintptr_t)address);

	assert_non_null(l);
	assert_int_equal(l->line_count, 1);
	return &p->lines[l->line_first];
}

static void is_named(const void *address, const char *function, const char *system)
{
	PF_SCOPED(pf_profile) p = {0};
	struct pf_symbols *symbols = pf_symbols_create();

	assert_non_null(symbols);
	pf_profile_init(&p);
	pf_profile_add_type(&p, "samples", "count");
	add_own_mappings(&p);
	add_address(&p, address);
	pf_symbols_resolve(symbols, &p);
	assert_int_equal(p.error, 0);
	assert_string_equal(line_at(&p, address)->function, function);
	assert_string_equal(line_at(&p, address)->system_name, system);
	pf_symbols_destroy(symbols);
}

static __attribute__((noinline)) int a_static_function(int x)
{
	__asm__ volatile("" : "+r"(x));
	return x + 1;
}

static void own_functions_are_named_from_first_byte_to_last(void **state)
{
	is_named((const void *)a_static_function, "a_static_function", "a_static_function");
	is_named((const char *)(const void *)a_static_function + 2, "a_static_function",
	    "a_static_function");
	is_named((const void *)is_named, "is_named", "is_named");
}

static void libc_functions_have_the_name_programs_use(void **state)
{
	static const char *const names[] = {
	    "malloc", "free", "read", "write", "pthread_mutex_lock", "printf", "qsort", "fork"};

	for (size_t i = 0; i < PF_COUNT(names); i++)
		is_named(dlsym(RTLD_DEFAULT, names[i]), names[i], names[i]);
}

static void functions_of_sqlite_are_named(void **state)
{
	void *library = dlopen("libsqlite3.so.0", RTLD_NOW | RTLD_LOCAL);

	assert_non_null(library);
	is_named((char *)dlsym(library, "sqlite3_exec") + 5, "sqlite3_exec", "sqlite3_exec");
	is_named(dlsym(library, "sqlite3_step"), "sqlite3_step", "sqlite3_step");
	dlclose(library);
}

static void functions_of_a_real_cxx_library_are_demangled(void **state)
{
	void *library = dlopen("libstdc++.so.6", RTLD_NOW | RTLD_LOCAL);

	assert_non_null(library);
	is_named(dlsym(library, "_ZNSs6appendEPKc"), "std::string::append", "_ZNSs6appendEPKc");
	is_named(dlsym(library, "_Znwm"), "operator new", "_Znwm");
	dlclose(library);
}

static void the_vdso_is_named_from_memory(void **state)
{
	PF_SCOPED(pf_profile) p = {0};
	struct pf_symbols *symbols = pf_symbols_create();
	const char *vdso = (const char *)getauxval(AT_SYSINFO_EHDR);
	size_t named = 0;

	assert_non_null(vdso);
	pf_profile_init(&p);
	pf_profile_add_type(&p, "samples", "count");
	add_own_mappings(&p);
	for (size_t i = 0; i < 4096; i++)
		add_address(&p, vdso + i);
	pf_symbols_resolve(symbols, &p);
	for (size_t i = 0; i < p.location_count; i++) {
		const char *name = p.lines[p.locations[i].line_first].function;

		named += strcmp(name, "clock_gettime") == 0;
		assert_true(strncmp(name, "__vdso", 6) != 0);
	}
	assert_true(named > 0);
	pf_symbols_destroy(symbols);
}

/* ---- the library made for this ---- */

enum {
	EXPORTED,
	STATIC,
	ALIASED,
	CXX,
	RUST,
	SIZELESS,
	AFTER,
	NOTHING,
};

struct shop {
	void *library;
	const char *(*address)(int which);
	const char *name; /* of the file, in brackets */
};

static struct shop open_shop(const char *variant)
{
	struct shop shop = {.library = dlopen(getenv(variant), RTLD_NOW | RTLD_LOCAL)};
	static char name[PATH_MAX];

	assert_non_null(shop.library);
	*(void **)&shop.address = dlsym(shop.library, "shop_address");
	snprintf(name, sizeof(name), "[%s]", strrchr(getenv(variant), '/') + 1);
	shop.name = name;
	return shop;
}

static void shop_is_named(const char *variant, bool statics_known)
{
	struct shop shop = open_shop(variant);
	const char *static_name = statics_known ? "shop_static" : shop.name;

	is_named(shop.address(EXPORTED), "shop_exported", "shop_exported");
	is_named(shop.address(STATIC), static_name, static_name);
	is_named(shop.address(ALIASED), "shop_weak", "shop_weak");
	is_named(shop.address(CXX), "shop::Cart::add", "_ZN4shop4Cart3addEv");
	is_named(shop.address(RUST), "shop::cart::add", "_ZN4shop4cart3add17h0123456789abcdefE");
	is_named(shop.address(NOTHING), shop.name, shop.name);
	dlclose(shop.library);
}

static void an_unstripped_library_has_all_names(void **state)
{
	shop_is_named("SHOP", true);
}

static void a_stripped_library_has_exported_names_only(void **state)
{
	shop_is_named("SHOP_STRIPPED", false);
}

static void a_debug_file_gives_the_names_back(void **state)
{
	shop_is_named("SHOP_LINKED", true);
}

static void packed_names_are_used(void **state)
{
	shop_is_named("SHOP_MINI", true);
}

static void a_function_without_size_ends_where_the_next_begins(void **state)
{
	struct shop shop = open_shop("SHOP");

	is_named(shop.address(SIZELESS), "shop_sizeless", "shop_sizeless");
	is_named(shop.address(AFTER) - 1, "shop_sizeless", "shop_sizeless");
	is_named(shop.address(AFTER), "shop_after", "shop_after");
	is_named(shop.address(AFTER) + 1, "shop_after", "shop_after");
	dlclose(shop.library);
}

/* The file at a path of our own, so that it may change; where functions lie in it. */
struct copy {
	char path[PATH_MAX];
	uint64_t static_offset, exported_offset;
};

static struct copy copy_shop(void)
{
	struct shop shop = open_shop("SHOP");
	struct copy copy = {.path = "/tmp/proffs-test-symbol-XXXXXX"};
	PF_SCOPED(pf_profile) p = {0};
	const struct pf_mapping *m;
	char command[2 * PATH_MAX];

	pf_profile_init(&p);
	add_own_mappings(&p);
	m = pf_profile_mapping(&p, (uint64_t)(uintptr_t)shop.address(STATIC));
	assert_non_null(m);
	copy.static_offset = (uint64_t)(uintptr_t)shop.address(STATIC) - m->start + m->offset;
	copy.exported_offset = (uint64_t)(uintptr_t)shop.address(EXPORTED) - m->start + m->offset;
	dlclose(shop.library);
	close(mkstemp(copy.path));
	snprintf(command, sizeof(command), "cp %s %s", getenv("SHOP"), copy.path);
	assert_int_equal(system(command), 0);
	return copy;
}

static void resolve_one(struct pf_symbols *symbols, struct pf_profile *p, const char *path,
    const char *build_id, uint64_t offset)
{
	pf_profile_finish(p);
	pf_profile_init(p);
	pf_profile_add_type(p, "samples", "count");
	pf_profile_add_mapping(p, 0x10000000, 0x20000000, 0, path, build_id);
	pf_profile_add_sample(p, &(uint64_t){0x10000000 + offset}, 1, (const int64_t[]){1});
	pf_symbols_resolve(symbols, p);
	assert_int_equal(p->error, 0);
}

static const char *id = "00112233445566778899aabbccddeeff00112233";

static void a_file_of_another_build_is_not_believed(void **state)
{
	PF_SCOPED(pf_profile) p = {0};
	struct pf_symbols *symbols = pf_symbols_create();
	struct copy copy = copy_shop();
	char text[PATH_MAX];

	snprintf(text, sizeof(text), "[%s]", strrchr(copy.path, '/') + 1);
	resolve_one(
	    symbols, &p, copy.path, "ff112233445566778899aabbccddeeff00112233", copy.static_offset);
	assert_string_equal(p.lines[0].function, text);
	assert_false(p.mappings[0].has_functions);
	assert_int_equal(pf_counter_get(PF_COUNTER_SYMBOL_UNKNOWN), 1);
	resolve_one(symbols, &p, copy.path, id, copy.static_offset);
	assert_string_equal(p.lines[0].function, "shop_static");
	assert_true(p.mappings[0].has_functions);
	assert_int_equal(pf_counter_get(PF_COUNTER_SYMBOL_UNKNOWN), 0);
	unlink(copy.path);
	pf_symbols_destroy(symbols);
}

static void a_name_once_read_outlives_its_file(void **state)
{
	PF_SCOPED(pf_profile) p = {0};
	struct pf_symbols *symbols = pf_symbols_create();
	struct copy copy = copy_shop();

	resolve_one(symbols, &p, copy.path, id, copy.static_offset);
	unlink(copy.path);
	resolve_one(symbols, &p, copy.path, id, copy.static_offset);
	assert_string_equal(p.lines[0].function, "shop_static");
	pf_symbols_destroy(symbols);
}

static void a_file_cut_meanwhile_gives_no_names_and_no_crash(void **state)
{
	PF_SCOPED(pf_profile) p = {0};
	struct pf_symbols *symbols = pf_symbols_create();
	struct copy copy = copy_shop();

	resolve_one(symbols, &p, copy.path, id, copy.static_offset);
	assert_int_equal(truncate(copy.path, 5000), 0);
	/* Its table is known, this name is not. */
	resolve_one(symbols, &p, copy.path, id, copy.exported_offset);
	assert_true(p.lines[0].function[0] == '[');
	assert_int_equal(truncate(copy.path, 0), 0);
	resolve_one(symbols, &p, copy.path, "", copy.static_offset);
	assert_true(p.lines[0].function[0] == '[');
	unlink(copy.path);
	pf_symbols_destroy(symbols);
}

static void a_file_without_build_id_is_read_again_when_it_changed(void **state)
{
	PF_SCOPED(pf_profile) p = {0};
	struct pf_symbols *symbols = pf_symbols_create();
	struct copy copy = copy_shop();
	char command[2 * PATH_MAX];

	resolve_one(symbols, &p, copy.path, "", copy.static_offset);
	assert_string_equal(p.lines[0].function, "shop_static");
	snprintf(command, sizeof(command), "cp %s %s", getenv("SHOP_STRIPPED"), copy.path);
	assert_int_equal(system(command), 0);
	resolve_one(symbols, &p, copy.path, "", copy.static_offset);
	assert_true(p.lines[0].function[0] == '[');
	unlink(copy.path);
	pf_symbols_destroy(symbols);
}

static void addresses_outside_everything_and_markers_have_their_names(void **state)
{
	PF_SCOPED(pf_profile) p = {0};
	struct pf_symbols *symbols = pf_symbols_create();

	pf_profile_init(&p);
	pf_profile_add_type(&p, "samples", "count");
	pf_profile_add_mapping(&p, 0x1000, 0x2000, 0, "/nonexistent/thing.so", "");
	pf_profile_add_mapping(&p, 0x3000, 0x4000, 0, "[vsyscall]", "");
	pf_profile_add_sample(
	    &p, (const uint64_t[]){PF_PC_LOST, 0x1234, 0x3456, 0x9999}, 4, (const int64_t[]){1});
	pf_symbols_resolve(symbols, &p);
	assert_int_equal(p.error, 0);
	assert_string_equal(p.lines[0].function, "[lost]");
	assert_string_equal(p.lines[1].function, "[thing.so]");
	assert_string_equal(p.lines[2].function, "[vsyscall]");
	assert_string_equal(p.lines[3].function, "[unknown]");
	assert_int_equal(pf_counter_get(PF_COUNTER_SYMBOL_UNKNOWN), 3);
	pf_symbols_destroy(symbols);
}

static void nothing_to_resolve_is_no_error(void **state)
{
	PF_SCOPED(pf_profile) p = {0};
	struct pf_symbols *symbols = pf_symbols_create();

	pf_profile_init(&p);
	pf_symbols_resolve(symbols, &p);
	assert_int_equal(p.error, 0);
	assert_int_equal(p.location_count, 0);
	pf_symbols_destroy(symbols);
	pf_symbols_destroy(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(own_functions_are_named_from_first_byte_to_last),
	    cmocka_unit_test(libc_functions_have_the_name_programs_use),
	    cmocka_unit_test(functions_of_sqlite_are_named),
	    cmocka_unit_test(functions_of_a_real_cxx_library_are_demangled),
	    cmocka_unit_test(the_vdso_is_named_from_memory),
	    cmocka_unit_test(an_unstripped_library_has_all_names),
	    cmocka_unit_test(a_stripped_library_has_exported_names_only),
	    cmocka_unit_test(a_debug_file_gives_the_names_back),
	    cmocka_unit_test(packed_names_are_used),
	    cmocka_unit_test(a_function_without_size_ends_where_the_next_begins),
	    cmocka_unit_test(a_file_of_another_build_is_not_believed),
	    cmocka_unit_test(a_name_once_read_outlives_its_file),
	    cmocka_unit_test(a_file_cut_meanwhile_gives_no_names_and_no_crash),
	    cmocka_unit_test(a_file_without_build_id_is_read_again_when_it_changed),
	    cmocka_unit_test(addresses_outside_everything_and_markers_have_their_names),
	    cmocka_unit_test(nothing_to_resolve_is_no_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
