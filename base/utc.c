#include "base/utc.h"
#include "base/clock.h"

#include <stdio.h>

struct utc {
	int year, month, day, hour, minute, second;
};

enum { SECONDS_PER_DAY = 86400 };

/* Howard Hinnant, "chrono-compatible low-level date algorithms", civil_from_days: years begin in
 * March, so that the leap day is the last one; an era is 400 years. */
static struct utc split(int64_t real_ns)
{
	int64_t seconds = real_ns / PF_NS_PER_SECOND - (real_ns % PF_NS_PER_SECOND < 0);
	int64_t days = seconds / SECONDS_PER_DAY - (seconds % SECONDS_PER_DAY < 0);
	int in_day = (int)(seconds - days * SECONDS_PER_DAY);
	int64_t shifted = days + 719468;
	int64_t era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
	int day_of_era = (int)(shifted - era * 146097);
	int year_of_era =
	    (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
	int day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	int from_march = (5 * day_of_year + 2) / 153;
	int month = from_march < 10 ? from_march + 3 : from_march - 9;

	return (struct utc){
	    .year = (int)(year_of_era + era * 400) + (month <= 2),
	    .month = month,
	    .day = day_of_year - (153 * from_march + 2) / 5 + 1,
	    .hour = in_day / 3600,
	    .minute = in_day / 60 % 60,
	    .second = in_day % 60,
	};
}

void pf_utc_text(int64_t real_ns, char out[PF_UTC_TEXT])
{
	struct utc t = split(real_ns);

	snprintf(out, PF_UTC_TEXT, "%04d-%02u-%02uT%02u:%02u:%02uZ", t.year % 10000,
	    (unsigned)t.month % 100, (unsigned)t.day % 100, (unsigned)t.hour % 100,
	    (unsigned)t.minute % 100, (unsigned)t.second % 100);
}

void pf_utc_stamp(int64_t real_ns, char out[PF_UTC_TEXT])
{
	struct utc t = split(real_ns);

	snprintf(out, PF_UTC_TEXT, "%04d%02u%02uT%02u%02u%02u", t.year % 10000,
	    (unsigned)t.month % 100, (unsigned)t.day % 100, (unsigned)t.hour % 100,
	    (unsigned)t.minute % 100, (unsigned)t.second % 100);
}
