/* Instruction lengths against the GNU disassembler, over the whole of libc. */
#include "sampler/x86_length.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#if defined(__x86_64__)
/* "  addr:\tc0 ff ee \tmnemonic": its bytes; 0 for other lines and for what is no instruction. */
static int parse(const char *line, uint8_t *code, char **mnemonic)
{
	char *at = strchr(line, '\t');
	int length = 0;

	memset(code, 0, 32);
	if (!at)
		return 0;
	at++;
	*mnemonic = strchr(at, '\t');
	if (!*mnemonic)
		return 0;
	++*mnemonic;
	while (at[0] != ' ' && at[0] != '\t' && length < 16) {
		code[length++] = (uint8_t)strtoul(at, NULL, 16);
		at += 3;
	}
	return strstr(*mnemonic, "(bad)") || strncmp(*mnemonic, "rex", 3) == 0 ? 0 : length;
}

static void lengths_are_those_of_the_disassembler(void **state)
{
	FILE *objdump = popen("objdump -d --wide --insn-width=16 $(ldconfig -p |"
			      " sed -n 's/.*libc.so.6 (libc6,x86-64).* => //p' | head -1)",
	    "r");
	char line[512];
	long known = 0, seen = 0;

	assert_non_null(objdump);
	while (fgets(line, sizeof(line), objdump)) {
		uint8_t code[32];
		char *mnemonic;
		int length = parse(line, code, &mnemonic);
		int ours;

		if (length == 0)
			continue;
		seen++;
		ours = pf_x86_length(code);
		if (ours && ours != length)
			fail_msg("%d bytes, not %d: %s", length, ours, line);
		known += ours != 0;
	}
	pclose(objdump);
	assert_true(seen > 100000);
	assert_true(known > seen / 100 * 97);
}

static void what_is_not_known_has_no_length(void **state)
{
	static const uint8_t push_es[16] = {0x06};
	static const uint8_t prefixes[16] = {0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x90};

	assert_int_equal(pf_x86_length(push_es), 0);
	assert_int_equal(pf_x86_length(prefixes), 0);
}
#endif

int main(void)
{
#if defined(__x86_64__)
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(lengths_are_those_of_the_disassembler),
	    cmocka_unit_test(what_is_not_known_has_no_length),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
#else
	printf("1..0 # SKIP another machine\n");
	return 0;
#endif
}
