#include "drawn.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void threads_of_one_stack_stand_together(void **state)
{
	PF_SCOPED(pf_buf) out = PF_BUF_INIT;

	assert_string_equal(drawn(&out, "threads", pf_render_threads),
	    "# threads: threads\n"
	    "# at 2026-11-21T06:00:00Z\n"
	    "# total 4\n"
	    "\n"
	    "3 threads\n"
	    "         11  worker 1          futex\n"
	    "         12  worker 2          futex  for 125.0 s  created by spawn_worker\n"
	    "         13  worker?[2J        poll\n"
	    "    #0 cart::Cart::add  [libcart.so]\n"
	    "    #1 handle  [server]\n"
	    "    #2 main  [server]\n"
	    "\n"
	    "1 thread\n"
	    "         10  server            running\n"
	    "    #0 main  [server]\n");
}

static void groups_of_one_size_are_ordered_by_thread(void **state)
{
	PF_SCOPED(pf_profile) p = {0};
	PF_SCOPED(pf_buf) out = PF_BUF_INIT;
	const char *text;

	pf_profile_init(&p);
	p.name = "threads";
	pf_profile_add_type(&p, "threads", "count");
	for (uint64_t tid = 30; tid > 0; tid--) {
		pf_profile_add_sample(&p, &(uint64_t){0x1000 + tid}, 1, (const int64_t[]){1});
		pf_profile_label_num(&p, "tid", (int64_t)tid, NULL);
	}
	pf_render_threads(&out, &p, &(struct pf_query){0});
	text = pf_buf_text(&out);
	for (int tid = 1; tid <= 30; tid++) {
		char line[32];

		snprintf(line, sizeof(line), "\n    %7d  ", tid);
		text = strstr(text, line);
		assert_non_null(text);
	}
}

static void every_thread_by_itself_as_go_writes_it(void **state)
{
	PF_SCOPED(pf_buf) out = PF_BUF_INIT;

	assert_string_equal(drawn(&out, "threads", pf_render_stacks),
	    "goroutine 10 [running, server]:\n"
	    "main(...)\n"
	    "\t/opt/shop/server+0x1010\n"
	    "\n"
	    "goroutine 11 [futex, worker 1]:\n"
	    "cart::Cart::add(...)\n"
	    "\t/opt/shop/libcart.so+0x2010\n"
	    "handle(...)\n"
	    "\t/opt/shop/server+0x2010\n"
	    "main(...)\n"
	    "\t/opt/shop/server+0x1010\n"
	    "\n"
	    "goroutine 12 [futex, 2 minutes, worker 2]:\n"
	    "cart::Cart::add(...)\n"
	    "\t/opt/shop/libcart.so+0x2010\n"
	    "handle(...)\n"
	    "\t/opt/shop/server+0x2010\n"
	    "main(...)\n"
	    "\t/opt/shop/server+0x1010\n"
	    "created by spawn_worker\n"
	    "\n"
	    "goroutine 13 [poll, worker?[2J]:\n"
	    "cart::Cart::add(...)\n"
	    "\t/opt/shop/libcart.so+0x2010\n"
	    "handle(...)\n"
	    "\t/opt/shop/server+0x2010\n"
	    "main(...)\n"
	    "\t/opt/shop/server+0x1010\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(threads_of_one_stack_stand_together),
	    cmocka_unit_test(groups_of_one_size_are_ordered_by_thread),
	    cmocka_unit_test(every_thread_by_itself_as_go_writes_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
