#include "fs/event.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/utc.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const int64_t LOOK_NS = 1ll * PF_NS_PER_SECOND;

void pf_events_init(struct pf_events *events)
{
	*events = (struct pf_events){.lock = PF_LOCK_INIT(PF_LOCK_LEAF)};
}

void pf_events_on_change(struct pf_events *events, void (*changed)(void *to), void *to)
{
	events->changed = changed;
	events->changed_to = to;
}

static void note_change(struct pf_events *events)
{
	if (events->changed)
		events->changed(events->changed_to);
}

/* ---- lines ---- */

/* What a terminal might obey becomes '?'. */
static void finish_line(struct pf_event_line *line)
{
	size_t n = 0;

	for (; n < PF_EVENT_LINE - 1 && line->text[n] && line->text[n] != '\n';
	     n += pf_buf_character(line->text + n)) {
		size_t control = pf_buf_control(line->text + n);

		if (control)
			memset(line->text + n, '?', control);
	}
	line->text[n] = '\n';
	line->length = n + 1;
}

static void PF_PRINTF(2, 0)
    format_line(struct pf_event_line *line, const char *format, va_list args)
{
	char stamp[PF_UTC_TEXT];
	int n;

	pf_utc_text(pf_clock_real_ns(), stamp);
	n = snprintf(line->text, PF_EVENT_LINE, "%s ", stamp);
	vsnprintf(line->text + n, PF_EVENT_LINE - (size_t)n, format, args);
	finish_line(line);
}

static void PF_PRINTF(2, 3) print_line(struct pf_event_line *line, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	format_line(line, format, args);
	va_end(args);
}

void pf_event_add(struct pf_events *events, const char *format, ...)
{
	struct pf_event_line line;
	va_list args;

	va_start(args, format);
	format_line(&line, format, args);
	va_end(args);
	pf_lock_take(&events->lock);
	events->lines[events->count++ % PF_EVENT_LINES] = line;
	pf_lock_give(&events->lock);
	note_change(events);
}

/* ---- readers ---- */

void pf_event_join(struct pf_events *events, struct pf_event_reader *reader)
{
	pf_lock_take(&events->lock);
	*reader = (struct pf_event_reader){.next = events->count};
	events->readers++;
	pf_lock_give(&events->lock);
	note_change(events);
}

void pf_event_leave(struct pf_events *events)
{
	pf_lock_take(&events->lock);
	events->readers--;
	pf_lock_give(&events->lock);
}

bool pf_event_ready(struct pf_events *events, struct pf_event_reader *reader)
{
	bool ready;

	pf_lock_take(&events->lock);
	ready = reader->taken < reader->line.length || reader->next < events->count;
	pf_lock_give(&events->lock);
	return ready;
}

/* The line after the one that was read; false: there is none yet. */
static bool next_line_locked(struct pf_events *events, struct pf_event_reader *reader)
{
	uint64_t oldest = events->count > PF_EVENT_LINES ? events->count - PF_EVENT_LINES : 0;

	if (reader->next == events->count)
		return false;
	reader->taken = 0;
	if (reader->next < oldest) {
		print_line(&reader->line, "lost %llu lines: read faster",
		    (unsigned long long)(oldest - reader->next));
		reader->next = oldest;
		return true;
	}
	reader->line = events->lines[reader->next++ % PF_EVENT_LINES];
	return true;
}

size_t pf_event_read(
    struct pf_events *events, struct pf_event_reader *reader, char *out, size_t size)
{
	size_t done = 0;

	pf_lock_take(&events->lock);
	while (done < size) {
		size_t left = reader->line.length - reader->taken;
		size_t n = left < size - done ? left : size - done;

		if (left == 0 && !next_line_locked(events, reader))
			break;
		memcpy(out + done, reader->line.text + reader->taken, n);
		reader->taken += n;
		done += n;
	}
	pf_lock_give(&events->lock);
	return done;
}

/* ---- what was dropped meanwhile ---- */

static bool counts_losses(enum pf_counter counter)
{
	const char *name = pf_counter_name(counter);

	return strstr(name, "lost") || strstr(name, "dropped");
}

static uint64_t moved_locked(struct pf_events *events, enum pf_counter counter)
{
	uint64_t now = pf_counter_get(counter);
	uint64_t before = events->seen[counter];

	events->seen[counter] = now;
	return events->watching && now > before ? now - before : 0;
}

/* False: nobody reads, or it is not time yet. */
static bool look(struct pf_events *events, int64_t now_ns, uint64_t moved[PF_COUNTER_COUNT])
{
	bool due;

	pf_lock_take(&events->lock);
	events->watching = events->watching && events->readers;
	due = events->readers && (!events->watching || now_ns >= events->look_ns);
	for (int i = 0; due && i < PF_COUNTER_COUNT; i++)
		moved[i] = moved_locked(events, (enum pf_counter)i);
	if (due) {
		events->look_ns = now_ns + LOOK_NS;
		events->watching = true;
	}
	pf_lock_give(&events->lock);
	return due;
}

int64_t pf_events_tick(struct pf_events *events, int64_t now_ns)
{
	uint64_t moved[PF_COUNTER_COUNT];
	int64_t again;

	if (look(events, now_ns, moved))
		for (int i = 0; i < PF_COUNTER_COUNT; i++)
			if (moved[i] && counts_losses((enum pf_counter)i))
				pf_event_add(events, "dropped %s %llu",
				    pf_counter_name((enum pf_counter)i),
				    (unsigned long long)moved[i]);
	pf_lock_take(&events->lock);
	again = events->readers ? events->look_ns : -1;
	pf_lock_give(&events->lock);
	return again;
}
