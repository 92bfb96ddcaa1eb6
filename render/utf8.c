#include "render/utf8.h"
#include "base/buf.h"

#include <stdbool.h>
#include <stdint.h>

/* Bytes of the valid sequence at `at` (NUL ended), or 0. RFC 3629: no overlong forms, no
 * surrogates, nothing above U+10FFFF. */
static size_t sequence(const unsigned char *at)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	uint32_t c = at[0];
	size_t length = c < 0x80 ? 1 : c >> 5 == 6 ? 2 : c >> 4 == 14 ? 3 : c >> 3 == 30 ? 4 : 0;

	if (length < 2)
		return length;
	c &= 0x7fu >> length;
	for (size_t i = 1; i < length; i++) {
		if (at[i] >> 6 != 2)
			return 0;
		c = c << 6 | (at[i] & 0x3f);
	}
	return c < least[length] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000) ? 0 : length;
}

/* A control character? C1 ones are two bytes, C2 80 to C2 9F. */
static bool is_control(const unsigned char *at)
{
	return at[0] < 0x20 || at[0] == 0x7f || (at[0] == 0xc2 && at[1] < 0xa0);
}

void pf_utf8_add_plain(struct pf_buf *buf, const char *text)
{
	const unsigned char *at = (const unsigned char *)text;
	const unsigned char *good = at;

	while (*at) {
		size_t length = sequence(at);

		if (length && !is_control(at)) {
			at += length;
			continue;
		}
		pf_buf_add(buf, good, (size_t)(at - good));
		pf_buf_str(buf, length ? "?" : "\xef\xbf\xbd");
		at += length ? length : 1;
		good = at;
	}
	pf_buf_add(buf, good, (size_t)(at - good));
}
