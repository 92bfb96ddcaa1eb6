/* pprof: a profile as gzipped profile.proto.
 *
 * A protobuf message may be written in pieces: messages laid end to end read as one, repeated
 * fields appended. So each sample, location, function and string is packed alone into a small
 * buffer and goes on to gzip; nothing of the size of the profile is built. Samples come first and
 * number the addresses, these number the functions, and the strings, which everybody numbers,
 * come last. Hence every table is 1..N in its own order (rule D6 of reference/pprof.md).
 */
#include "base/buf.h"
#include "render/gzip.h"
#include "render/index.h"
#include "render/place.h"
#include "render/profile.pb-c.h"
#include "render/render.h"
#include "render/utf8.h"

#include <errno.h>
#include <string.h>

/* Packed bytes are handed to gzip in pieces of about this size. */
enum { PIECE_BYTES = 64 * 1024 };

struct function_key { /* string numbers */
	int64_t name, system_name, file, start_line;
};

struct writer {
	const struct pf_profile *in;
	struct pf_gzip *gzip;
	/* Packed, not yet compressed; its error is the writer's. After it nothing is looked at any more: an
	 * index counts what there was no memory for, too. */
	struct pf_buf raw;
	struct pf_places places;

	struct pf_index string_index;
	const char **strings;
	size_t string_capacity;

	struct pf_index function_index;
	struct function_key *functions;
	size_t function_capacity;

	/* One message's repeated fields, used again for the next. */
	uint64_t *ids;
	size_t id_capacity;
	Perftools__Profiles__Label *labels;
	Perftools__Profiles__Label **label_list;
	size_t label_capacity, label_list_capacity;
	Perftools__Profiles__Line *lines;
	Perftools__Profiles__Line **line_list;
	size_t line_capacity, line_list_capacity;
};

#define RESERVE(w, field, capacity, need)                                                          \
	reserve(w, (void **)&(w)->field, &(w)->capacity, sizeof(*(w)->field), need)

static bool reserve(struct writer *w, void **items, size_t *capacity, size_t size, size_t need)
{
	int rc = pf_vec_reserve(items, capacity, size, need);

	if (rc < 0)
		pf_buf_fail(&w->raw, rc);
	return w->raw.error == 0;
}

static void emit(struct writer *w, const Perftools__Profiles__Profile *piece)
{
	size_t size = protobuf_c_message_get_packed_size(&piece->base);
	char *room = pf_buf_room(&w->raw, size);

	if (!room)
		return;
	w->raw.length += protobuf_c_message_pack(&piece->base, (uint8_t *)room);
	if (w->raw.length < PIECE_BYTES)
		return;
	pf_gzip_add(w->gzip, w->raw.at, w->raw.length);
	pf_buf_clear(&w->raw);
}

/* ---- numbers for strings and functions ---- */

static bool same_string(const void *items, uint32_t number, const void *key)
{
	return strcmp(((const char *const *)items)[number], key) == 0;
}

static int64_t string_number(struct writer *w, const char *text)
{
	uint32_t before = w->string_index.count;
	uint32_t number;

	if (w->raw.error)
		return 0;
	if (!text)
		text = "";
	number = pf_index_put(
	    &w->string_index, pf_hash_bytes(text, strlen(text)), same_string, w->strings, text);
	if (number == PF_INDEX_FULL) {
		pf_buf_fail(&w->raw, -ENOMEM);
		return 0;
	}
	if (number == before) {
		if (!RESERVE(w, strings, string_capacity, (size_t)number + 1))
			return 0;
		w->strings[number] = text;
	}
	return number;
}

static bool same_function(const void *items, uint32_t number, const void *key)
{
	return memcmp((const struct function_key *)items + number, key,
		   sizeof(struct function_key)) == 0;
}

static uint64_t function_id(struct writer *w, struct function_key key)
{
	uint32_t before = w->function_index.count;
	uint32_t number;

	if (w->raw.error)
		return 0;
	number = pf_index_put(&w->function_index, pf_hash_bytes(&key, sizeof(key)), same_function,
	    w->functions, &key);
	if (number == PF_INDEX_FULL) {
		pf_buf_fail(&w->raw, -ENOMEM);
		return 0;
	}
	if (number == before) {
		if (!RESERVE(w, functions, function_capacity, (size_t)number + 1))
			return 0;
		w->functions[number] = key;
	}
	return (uint64_t)number + 1;
}

/* ---- the pieces ---- */

static Perftools__Profiles__ValueType value_type(struct writer *w, struct pf_value_type type)
{
	Perftools__Profiles__ValueType out = PERFTOOLS__PROFILES__VALUE_TYPE__INIT;

	out.type = string_number(w, type.type);
	out.unit = string_number(w, type.unit);
	return out;
}

static void write_head(struct writer *w)
{
	const struct pf_profile *in = w->in;
	Perftools__Profiles__Profile head = PERFTOOLS__PROFILES__PROFILE__INIT;
	Perftools__Profiles__ValueType types[PF_VALUES_MAX], *list[PF_VALUES_MAX], period_type;

	for (uint32_t i = 0; i < in->type_count; i++) {
		types[i] = value_type(w, in->types[i]);
		list[i] = &types[i];
	}
	head.n_sample_type = in->type_count;
	head.sample_type = list;
	period_type = value_type(w, in->period_type);
	if (period_type.type || period_type.unit)
		head.period_type = &period_type;
	head.period = in->period;
	head.time_nanos = in->time_ns;
	head.duration_nanos = in->duration_ns;
	head.drop_frames = string_number(w, in->drop_frames ? in->drop_frames : "");
	if (in->default_type >= 0 && (uint32_t)in->default_type < in->type_count)
		head.default_sample_type = types[in->default_type].type;
	emit(w, &head);
}

static void write_comments(struct writer *w)
{
	for (size_t i = 0; w->raw.error == 0 && i < w->in->comment_count; i++) {
		Perftools__Profiles__Profile piece = PERFTOOLS__PROFILES__PROFILE__INIT;
		int64_t text = string_number(w, w->in->comments[i]);

		piece.n_comment = 1;
		piece.comment = &text;
		emit(w, &piece);
	}
}

static void write_mappings(struct writer *w)
{
	for (size_t i = 0; w->raw.error == 0 && i < w->in->mapping_count; i++) {
		const struct pf_mapping *from = &w->in->mappings[i];
		Perftools__Profiles__Profile piece = PERFTOOLS__PROFILES__PROFILE__INIT;
		Perftools__Profiles__Mapping mapping = PERFTOOLS__PROFILES__MAPPING__INIT;
		Perftools__Profiles__Mapping *list = &mapping;

		mapping.id = i + 1;
		mapping.memory_start = from->start;
		mapping.memory_limit = from->limit;
		mapping.file_offset = from->offset;
		mapping.filename = string_number(w, from->path);
		mapping.build_id = string_number(w, from->build_id);
		mapping.has_functions = from->has_functions;
		mapping.has_filenames = from->has_filenames;
		mapping.has_line_numbers = from->has_line_numbers;
		mapping.has_inline_frames = from->has_inline_frames;
		piece.n_mapping = 1;
		piece.mapping = &list;
		emit(w, &piece);
	}
}

static size_t fill_labels(struct writer *w, const struct pf_sample *s)
{
	size_t count = 0;

	if (!RESERVE(w, labels, label_capacity, s->label_count) ||
	    !RESERVE(w, label_list, label_list_capacity, s->label_count))
		return 0;
	for (uint32_t i = 0; i < s->label_count; i++) {
		const struct pf_label *from = &w->in->labels[s->label_first + i];
		Perftools__Profiles__Label *label = &w->labels[count];

		perftools__profiles__label__init(label);
		label->key = string_number(w, from->key);
		if (from->str) {
			label->str = string_number(w, from->str);
		} else {
			label->num = from->num;
			label->num_unit = string_number(w, from->unit);
		}
		w->label_list[count++] = label;
	}
	return count;
}

static void write_samples(struct writer *w)
{
	for (size_t i = 0; w->raw.error == 0 && i < w->in->sample_count; i++) {
		const struct pf_sample *from = &w->in->samples[i];
		Perftools__Profiles__Profile piece = PERFTOOLS__PROFILES__PROFILE__INIT;
		Perftools__Profiles__Sample sample = PERFTOOLS__PROFILES__SAMPLE__INIT;
		Perftools__Profiles__Sample *list = &sample;
		int64_t values[PF_VALUES_MAX];

		if (!RESERVE(w, ids, id_capacity, from->pc_count))
			return;
		for (uint32_t k = 0; k < from->pc_count; k++)
			w->ids[k] =
			    pf_places_find(&w->places, w->in->pcs[from->pc_first + k]) + 1ull;
		memcpy(values, from->value, sizeof(values));
		sample.n_location_id = from->pc_count;
		sample.location_id = w->ids;
		sample.n_value = w->in->type_count;
		sample.value = values;
		sample.n_label = fill_labels(w, from);
		sample.label = w->label_list;
		piece.n_sample = 1;
		piece.sample = &list;
		emit(w, &piece);
	}
}

static size_t fill_lines(struct writer *w, const struct pf_place *place)
{
	const char *marker = pf_pc_marker_name(place->address);
	struct pf_line of_marker = {.function = marker, .system_name = marker, .file = ""};
	const struct pf_line *from = marker ? &of_marker : NULL;
	size_t count = marker ? 1 : 0;

	if (place->location && place->location->line_count) {
		from = &w->in->lines[place->location->line_first];
		count = place->location->line_count;
	}
	if (!RESERVE(w, lines, line_capacity, count) ||
	    !RESERVE(w, line_list, line_list_capacity, count))
		return 0;
	for (size_t i = 0; i < count; i++) {
		struct function_key key = {
		    .name = string_number(w, from[i].function),
		    .system_name = string_number(w, from[i].system_name),
		    .file = string_number(w, from[i].file),
		    .start_line = from[i].start_line,
		};

		perftools__profiles__line__init(&w->lines[i]);
		w->lines[i].function_id = function_id(w, key);
		w->lines[i].line = from[i].line;
		w->line_list[i] = &w->lines[i];
	}
	return count;
}

static void write_locations(struct writer *w)
{
	for (uint32_t i = 0; w->raw.error == 0 && i < w->places.index.count; i++) {
		const struct pf_place *place = &w->places.items[i];
		Perftools__Profiles__Profile piece = PERFTOOLS__PROFILES__PROFILE__INIT;
		Perftools__Profiles__Location location = PERFTOOLS__PROFILES__LOCATION__INIT;
		Perftools__Profiles__Location *list = &location;

		location.id = i + 1ull;
		location.address = place->address;
		if (place->mapping)
			location.mapping_id = (uint64_t)(place->mapping - w->in->mappings) + 1;
		location.n_line = fill_lines(w, place);
		location.line = w->line_list;
		piece.n_location = 1;
		piece.location = &list;
		emit(w, &piece);
	}
}

static void write_functions(struct writer *w)
{
	for (uint32_t i = 0; w->raw.error == 0 && i < w->function_index.count; i++) {
		const struct function_key *from = &w->functions[i];
		Perftools__Profiles__Profile piece = PERFTOOLS__PROFILES__PROFILE__INIT;
		Perftools__Profiles__Function function = PERFTOOLS__PROFILES__FUNCTION__INIT;
		Perftools__Profiles__Function *list = &function;

		function.id = i + 1ull;
		function.name = from->name;
		function.system_name = from->system_name;
		function.filename = from->file;
		function.start_line = from->start_line;
		piece.n_function = 1;
		piece.function = &list;
		emit(w, &piece);
	}
}

static void write_strings(struct writer *w)
{
	PF_SCOPED(pf_buf) clean = PF_BUF_INIT;

	for (uint32_t i = 0; w->raw.error == 0 && i < w->string_index.count; i++) {
		Perftools__Profiles__Profile piece = PERFTOOLS__PROFILES__PROFILE__INIT;
		char *text;

		pf_buf_clear(&clean);
		pf_utf8_add_plain(&clean, w->strings[i]); /* go tool pprof prints it as it is */
		pf_buf_char(&clean, '\0');
		if (clean.error) {
			pf_buf_fail(&w->raw, clean.error);
			return;
		}
		text = clean.at;
		piece.n_string_table = 1;
		piece.string_table = &text;
		emit(w, &piece);
	}
}

static void finish(struct writer *w)
{
	pf_buf_finish(&w->raw);
	pf_places_finish(&w->places);
	pf_index_finish(&w->string_index);
	pf_vec_free(w->strings, w->string_capacity, sizeof(*w->strings));
	pf_index_finish(&w->function_index);
	pf_vec_free(w->functions, w->function_capacity, sizeof(*w->functions));
	pf_vec_free(w->ids, w->id_capacity, sizeof(*w->ids));
	pf_vec_free(w->labels, w->label_capacity, sizeof(*w->labels));
	pf_vec_free(w->label_list, w->label_list_capacity, sizeof(*w->label_list));
	pf_vec_free(w->lines, w->line_capacity, sizeof(*w->lines));
	pf_vec_free(w->line_list, w->line_list_capacity, sizeof(*w->line_list));
}

void pf_render_pprof(struct pf_buf *out, const struct pf_profile *in, const struct pf_query *query)
{
	struct writer w = {.in = in, .gzip = pf_gzip_start(out)};
	int rc = pf_places_init(&w.places, in);

	if (rc < 0)
		pf_buf_fail(&w.raw, rc);
	string_number(&w, ""); /* string_table[0] */
	write_head(&w);
	write_comments(&w);
	write_mappings(&w);
	write_samples(&w);
	write_locations(&w);
	write_functions(&w);
	write_strings(&w);
	if (w.raw.error)
		pf_buf_fail(out, w.raw.error);
	pf_gzip_add(w.gzip, w.raw.at, w.raw.length);
	pf_gzip_end(w.gzip);
	finish(&w);
}
