/* The text of /proc/self/maps: paths in it are the program's choice. */
#include "fuzz.h"

/* Its functions are nobody else's. */
#include "sampler/map.c"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct maps maps = {0};

	pf_buf_add(&maps.text, bytes, size);
	if (parse_text(&maps) == 0) {
		join_pieces(&maps);
		for (size_t i = 0; i < maps.count; i++)
			if (is_wanted(&maps.lines[i]))
				find_header(&maps, &maps.lines[i]);
	}
	pf_vec_free(maps.lines, maps.capacity, sizeof(*maps.lines));
	pf_buf_finish(&maps.text);
	return 0;
}
