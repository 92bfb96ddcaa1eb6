#include "base/history.h"
#include "base/buf.h"
#include "base/clock.h"

const struct pf_history_column_info pf_history_columns[PF_HISTORY_COLUMN_COUNT] = {
#define X(id, name, unit, counter, grain, what) {name, unit, counter, grain, what},
    PF_HISTORY_COLUMNS(X)
#undef X
};

void pf_history_rows_finish(struct pf_history_rows *rows)
{
	pf_vec_free(rows->row, rows->capacity, sizeof(*rows->row));
	*rows = (struct pf_history_rows){0};
}

double pf_history_rate(const struct pf_history_rows *rows, size_t at, enum pf_history_column column)
{
	int64_t before, now, time_ns;

	if (at == 0 || at >= rows->count)
		return -1;
	before = rows->row[at - 1].value[column];
	now = rows->row[at].value[column];
	time_ns = rows->row[at].time_ns - rows->row[at - 1].time_ns;
	if (before < 0 || now < before || time_ns <= 0)
		return -1;
	return (double)(now - before) * PF_NS_PER_SECOND / (double)time_ns;
}
