#include "render/tag.h"
#include "base/buf.h"
#include "render/utf8.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

enum { KEYS_SHOWN = 8, TEXTS_SHOWN = 4 };

/* What the samples say under one key. */
struct tag {
	const char *key;
	const char *unit;
	const char *texts[TEXTS_SHOWN];
	uint32_t text_count; /* may be larger than what is kept */
	bool has_number;
	int64_t least, largest;
};

static struct tag *tag_of(struct tag *tags, uint32_t *count, const char *key)
{
	for (uint32_t i = 0; i < *count; i++)
		if (strcmp(tags[i].key, key) == 0)
			return &tags[i];
	if (*count == KEYS_SHOWN)
		return NULL;
	tags[*count] = (struct tag){.key = key};
	return &tags[(*count)++];
}

static void add_text(struct tag *tag, const char *text)
{
	for (uint32_t i = 0; i < tag->text_count && i < TEXTS_SHOWN; i++)
		if (strcmp(tag->texts[i], text) == 0)
			return;
	if (tag->text_count < TEXTS_SHOWN)
		tag->texts[tag->text_count] = text;
	tag->text_count++;
}

static void add_number(struct tag *tag, const struct pf_label *label)
{
	if (!tag->has_number || label->num < tag->least)
		tag->least = label->num;
	if (!tag->has_number || label->num > tag->largest)
		tag->largest = label->num;
	tag->has_number = true;
	tag->unit = label->unit;
}

static void draw(struct pf_buf *out, const struct tag *tag)
{
	pf_utf8_add_plain(out, tag->key);
	if (tag->has_number)
		pf_buf_printf(out, " %" PRId64, tag->least);
	if (tag->has_number && tag->largest != tag->least)
		pf_buf_printf(out, " to %" PRId64, tag->largest);
	if (tag->has_number && tag->unit && *tag->unit) {
		pf_buf_char(out, ' ');
		pf_utf8_add_plain(out, tag->unit);
	}
	for (uint32_t i = 0; i < tag->text_count && i < TEXTS_SHOWN; i++) {
		pf_buf_str(out, i ? ", " : " ");
		pf_utf8_add_plain(out, tag->texts[i]);
	}
	if (tag->text_count > TEXTS_SHOWN)
		pf_buf_str(out, ", and others");
}

void pf_tag_line(
    struct pf_buf *out, const struct pf_profile *in, const uint32_t *samples, uint32_t count)
{
	struct tag tags[KEYS_SHOWN];
	uint32_t tag_count = 0;

	for (uint32_t i = 0; i < count; i++) {
		const struct pf_sample *s = &in->samples[samples[i]];

		for (uint32_t k = 0; k < s->label_count; k++) {
			const struct pf_label *label = &in->labels[s->label_first + k];
			struct tag *tag = pf_label_is_address(label)
					      ? NULL
					      : tag_of(tags, &tag_count, label->key);

			if (tag && label->str)
				add_text(tag, label->str);
			else if (tag)
				add_number(tag, label);
		}
	}
	for (uint32_t i = 0; i < tag_count; i++) {
		pf_buf_str(out, i ? "; " : "#   ");
		draw(out, &tags[i]);
	}
	if (tag_count)
		pf_buf_char(out, '\n');
}
