#include "base/buf.h"
#include "render/demangle.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int setup(void **state)
{
	*state = pf_demangler_create();
	return *state ? 0 : -1;
}

static int teardown(void **state)
{
	pf_demangler_destroy(*state);
	return 0;
}

static void becomes(void **state, const char *name, const char *wanted)
{
	PF_SCOPED(pf_buf) out = PF_BUF_INIT;

	assert_true(pf_demangle(*state, name, &out));
	assert_string_equal(pf_buf_text(&out), wanted);
}

static void stays(void **state, const char *name)
{
	PF_SCOPED(pf_buf) out = PF_BUF_INIT;

	pf_buf_str(&out, "before");
	assert_false(pf_demangle(*state, name, &out));
	assert_string_equal(pf_buf_text(&out), "before");
}

static void cxx_names_lose_parameters_and_keep_templates(void **state)
{
	becomes(state, "_ZN4cart4Cart3addEv", "cart::Cart::add");
	becomes(state, "_ZNK4cart4CartIiSsE3addERKSs", "cart::Cart<int, std::string>::add");
	becomes(state, "_Z3addIiET_S0_S0_", "add<int>");
	becomes(state, "_Znwm", "operator new");
	becomes(state, "_ZZ4mainENKUlvE_clEv", "main::{lambda()#1}::operator()");
	becomes(state, "_ZN12_GLOBAL__N_13runEv", "(anonymous namespace)::run");
	becomes(state, "_ZN4cart4CartD0Ev", "cart::Cart::~Cart");
}

static void parts_of_a_function_have_its_name(void **state)
{
	becomes(state, "_ZN4cart4Cart3addEv.cold", "cart::Cart::add");
	becomes(state, "_ZN4cart4Cart3addEi.constprop.0.isra.1", "cart::Cart::add");
}

static void rust_names_lose_their_hash(void **state)
{
	becomes(state, "_ZN4core3fmt5Write9write_str17h0123456789abcdefE",
	    "core::fmt::Write::write_str");
	becomes(state,
	    "_ZN71_$LT$Test$u20$$u2b$$u20$$u27$static$u20$as$u20$foo..Bar$LT$Test$GT$$GT$3bar"
	    "17h930b740aa94f1d3aE",
	    "<Test + 'static as foo::Bar<Test>>::bar");
	becomes(state, "_RNvNtCs1234_7mycrate3foo3bar", "mycrate::foo::bar");
	becomes(state, "_RINvNtC3std3mem4dropNtC3foo3BarE", "std::mem::drop::<foo::Bar>");
}

static void names_of_c_and_nonsense_stay(void **state)
{
	stays(state, "main");
	stays(state, "");
	stays(state, "_");
	stays(state, "_start");
	stays(state, "_Z");
	stays(state, "_R");
	stays(state, "_ZN4cart");
	stays(state, "_Z999999999999999999999f");
}

static void add_times(struct pf_buf *name, const char *text, size_t times)
{
	while (times-- > 0)
		pf_buf_str(name, text);
}

static void a_template_of_ten_kilobytes_is_demangled(void **state)
{
	PF_SCOPED(pf_buf) name = PF_BUF_INIT;
	PF_SCOPED(pf_buf) out = PF_BUF_INIT;

	pf_buf_str(&name, "_Z1fI");
	add_times(&name, "11wide_memberIiE", 640);
	pf_buf_str(&name, "Evv");
	assert_true(name.length > 10240);
	assert_true(pf_demangle(*state, pf_buf_text(&name), &out));
	assert_memory_equal(pf_buf_text(&out), "f<wide_member<int>, wide_member<int>, ", 38);
	assert_int_equal(out.length, strlen("f< >") + 640 * strlen("wide_member<int>, ") - 2);
}

static void a_name_beyond_the_limit_stays(void **state)
{
	PF_SCOPED(pf_buf) name = PF_BUF_INIT;

	pf_buf_printf(&name, "_Z%d", PF_DEMANGLE_LENGTH_MAX);
	add_times(&name, "x", PF_DEMANGLE_LENGTH_MAX);
	pf_buf_str(&name, "v");
	stays(state, pf_buf_text(&name));
}

static void deep_nesting_neither_crashes_nor_hangs(void **state)
{
	static const char *const starts[] = {"_ZP", "_Z1fI", "_ZN1aI", "_ZTV", "_ZF", "_Z1fIX",
	    "_ZZ", "_R", "_RNv", "_RIC1aR", "_RIC1aT"};
	static const char *const steps[] = {"P", "1aI", "F", "PF", "ng", "Z", "cv", "DT", "MF", "J",
	    "A_", "L_Z", "C1a", "R", "T", "INvC1a1b", "RT_", "1aIRT_E", "S_IRT_E"};
	PF_SCOPED(pf_buf) name = PF_BUF_INIT;
	PF_SCOPED(pf_buf) out = PF_BUF_INIT;

	for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++)
		for (size_t k = 0; k < sizeof(steps) / sizeof(steps[0]); k++) {
			pf_buf_clear(&name);
			pf_buf_str(&name, starts[i]);
			add_times(&name, steps[k],
			    (PF_DEMANGLE_LENGTH_MAX - name.length) / strlen(steps[k]));
			pf_buf_clear(&out);
			pf_demangle(*state, pf_buf_text(&name), &out);
		}
}

static void a_template_nested_in_itself_is_demangled_or_stays(void **state)
{
	PF_SCOPED(pf_buf) name = PF_BUF_INIT;
	PF_SCOPED(pf_buf) out = PF_BUF_INIT;

	for (size_t depth = 10; depth < 4000; depth += 190) {
		pf_buf_clear(&name);
		pf_buf_str(&name, "_Z1fI");
		add_times(&name, "1aI", depth);
		pf_buf_str(&name, "i");
		add_times(&name, "E", depth);
		pf_buf_str(&name, "Evv");
		pf_buf_clear(&out);
		if (pf_demangle(*state, pf_buf_text(&name), &out))
			assert_memory_equal(out.at, "f<a<a<a<", 8);
		else
			assert_true(depth > 300);
	}
}

static void a_name_that_unfolds_without_end_stays(void **state)
{
	/* Each template names the one before twice: 2^24 leaves. */
	static const char name[] =
	    "_Z1fI1aIiE1bIS1_S1_E1cIS3_S3_E1dIS5_S5_E1eIS7_S7_E1gIS9_S9_E1hISB_SB_E"
	    "1iISD_SD_E1jISF_SF_E1kISH_SH_E1lISJ_SJ_E1mISL_SL_E1nISN_SN_E1oISP_SP_E"
	    "1pISR_SR_E1qIST_ST_E1rISV_SV_E1sISX_SX_E1tISZ_SZ_E1uIS11_S11_E"
	    "1vIS13_S13_E1wIS15_S15_E1xIS17_S17_E1yIS19_S19_E1zIS1B_S1B_EEvv";
	PF_SCOPED(pf_buf) out = PF_BUF_INIT;

	assert_false(pf_demangle(*state, name, &out));
	assert_int_equal(out.length, 0);
	becomes(state, "_Z1fv", "f"); /* and the next one works */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(
		cxx_names_lose_parameters_and_keep_templates, setup, teardown),
	    cmocka_unit_test_setup_teardown(parts_of_a_function_have_its_name, setup, teardown),
	    cmocka_unit_test_setup_teardown(rust_names_lose_their_hash, setup, teardown),
	    cmocka_unit_test_setup_teardown(names_of_c_and_nonsense_stay, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		a_template_of_ten_kilobytes_is_demangled, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_name_beyond_the_limit_stays, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		deep_nesting_neither_crashes_nor_hangs, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		a_template_nested_in_itself_is_demangled_or_stays, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_name_that_unfolds_without_end_stays, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
