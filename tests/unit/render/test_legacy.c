#include "drawn.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MAP                                                                                        \
	"00400000-00500000 r-xp 00000000 00:00 0 /opt/shop/server\n"                               \
	"7f0000000000-7f0000100000 r-xp 00001000 00:00 0 /opt/shop/libcart.so\n"

static void heap_is_scaled_already_and_has_return_addresses(void **state)
{
	PF_SCOPED(pf_buf) out = PF_BUF_INIT;

	assert_string_equal(drawn(&out, "heap", pf_render_legacy),
	    "heap profile: 15: 1500 [37: 3564] @ heap_v2/1\n"
	    "10: 1000 [30: 3000] @ 0x403011 0x7f0000001011 0x402011 0x401011\n"
	    "#\t0x403010\talloc\t/opt/shop/server+0x3010\n"
	    "#\t0x7f0000001010\tcart::Cart::add\t/opt/shop/libcart.so+0x2010\n"
	    "#\t0x402010\thandle\t/opt/shop/server+0x2010\n"
	    "#\t0x401010\tmain\t/opt/shop/server+0x1010\n"
	    "\n"
	    "5: 500 [5: 500] @ 0x403011 0x402011 0x401011\n"
	    "#\t0x403010\talloc\t/opt/shop/server+0x3010\n"
	    "#\t0x402010\thandle\t/opt/shop/server+0x2010\n"
	    "#\t0x401010\tmain\t/opt/shop/server+0x1010\n"
	    "\n"
	    "0: 0 [2: 64] @ 0x403011 0x401011\n"
	    "#\t0x403010\talloc\t/opt/shop/server+0x3010\n"
	    "#\t0x401010\tmain\t/opt/shop/server+0x1010\n"
	    "\n"
	    "# proffs 0.1.0\n"
	    "# 7 samples lost\n"
	    "MAPPED_LIBRARIES:\n" MAP);
}

static void a_heap_where_nothing_was_freed_still_has_four_columns(void **state)
{
	PF_SCOPED(pf_profile) p = {0};
	PF_SCOPED(pf_buf) out = PF_BUF_INIT;

	assert_true(make_profile(&p, "empty"));
	pf_profile_add_sample(&p, (const uint64_t[]){AT_MAIN}, 1, (const int64_t[]){2, 64, 2, 64});
	pf_render_legacy(&out, &p, &(struct pf_query){0});
	assert_memory_equal(pf_buf_text(&out), "heap profile: 2: 64 [2: 65] @ heap_v2/1\n", 40);
}

static void contention_is_nanoseconds_and_times(void **state)
{
	PF_SCOPED(pf_buf) out = PF_BUF_INIT;

	assert_string_equal(drawn(&out, "mutex", pf_render_legacy),
	    "--- contention:\n"
	    "cycles/second=1000000000\n"
	    "sampling period=1\n"
	    "# mutex\n"
	    "500000000 3 @ 0x7f0000001011 0x402011 0x401011\n"
	    "#\t0x7f0000001010\tcart::Cart::add\t/opt/shop/libcart.so+0x2010\n"
	    "#\t0x402010\thandle\t/opt/shop/server+0x2010\n"
	    "#\t0x401010\tmain\t/opt/shop/server+0x1010\n"
	    "\n"
	    "1000000 2 @ 0x402011 0x401011\n"
	    "#\t0x402010\thandle\t/opt/shop/server+0x2010\n"
	    "#\t0x401010\tmain\t/opt/shop/server+0x1010\n"
	    "\n"
	    "--- Memory map: ---\n" MAP);
}

static void the_rest_counts_stacks(void **state)
{
	PF_SCOPED(pf_buf) out = PF_BUF_INIT;

	assert_string_equal(drawn(&out, "threads", pf_render_legacy),
	    "threads profile: total 4\n"
	    "3 @ 0x7f0000001011 0x402011 0x401011\n"
	    "#\t0x7f0000001010\tcart::Cart::add\t/opt/shop/libcart.so+0x2010\n"
	    "#\t0x402010\thandle\t/opt/shop/server+0x2010\n"
	    "#\t0x401010\tmain\t/opt/shop/server+0x1010\n"
	    "\n"
	    "1 @ 0x401011\n"
	    "#\t0x401010\tmain\t/opt/shop/server+0x1010\n"
	    "\n"
	    "--- Memory map: ---\n" MAP);
}

static void an_empty_profile_has_its_first_line(void **state)
{
	PF_SCOPED(pf_buf) out = PF_BUF_INIT;

	assert_string_equal(drawn(&out, "empty", pf_render_legacy),
	    "heap profile: 0: 0 [0: 1] @ heap_v2/1\nMAPPED_LIBRARIES:\n" MAP);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(heap_is_scaled_already_and_has_return_addresses),
	    cmocka_unit_test(a_heap_where_nothing_was_freed_still_has_four_columns),
	    cmocka_unit_test(contention_is_nanoseconds_and_times),
	    cmocka_unit_test(the_rest_counts_stacks),
	    cmocka_unit_test(an_empty_profile_has_its_first_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
