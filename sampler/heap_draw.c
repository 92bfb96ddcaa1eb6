#include "sampler/heap_draw.h"
#include "base/clock.h"
#include "base/knob.h"

#include <unistd.h>

PF_TLS struct pf_draw pf_draw_here __attribute__((aligned(32))); /* on one cache line */

static uint64_t seed;               /* of all threads; written before `drawing` */
static uint64_t seeds_given;        /* atomic */
static uint32_t generation PF_WARM; /* atomic; of `seed` */
static bool drawing PF_WARM;        /* atomic */

/* While nothing is drawn, whoever still comes by (a copied pointer to a hook) looks this often. */
enum { LOOK_BYTES_OFF = 4096 };

/* ---- the floating point unit: borrowed, and given back as it was ---- */

/* The program may have changed how it rounds and what traps, and may ask later what happened. */
#if defined(__x86_64__)
PF_INLINE uint64_t borrow_fpu(void)
{
	uint32_t theirs, ours = 0x1f80; /* to nearest, nothing traps */

	__asm__ volatile("stmxcsr %0\n\tldmxcsr %1" : "=m"(theirs) : "m"(ours));
	return theirs;
}

PF_INLINE void return_fpu(uint64_t state)
{
	uint32_t theirs = (uint32_t)state;

	__asm__ volatile("ldmxcsr %0" : : "m"(theirs));
}
#elif defined(__aarch64__)
PF_INLINE uint64_t borrow_fpu(void)
{
	uint64_t control, status;

	__asm__ volatile("mrs %0, fpcr\n\tmrs %1, fpsr\n\tmsr fpcr, xzr"
			 : "=&r"(control), "=&r"(status));
	return control << 32 | (uint32_t)status;
}

PF_INLINE void return_fpu(uint64_t state)
{
	__asm__ volatile("msr fpcr, %0\n\tmsr fpsr, %1"
			 :
			 : "r"(state >> 32), "r"(state & 0xffffffff));
}
#endif

/* Keeps the arithmetic on a number between borrowing and returning: to the compiler it changes here. */
#define PIN(number) __asm__ volatile("" : "+r"(number))

static const double LN2 = 0.693147180559945309417;

PF_INLINE double from_bits(uint64_t bits)
{
	double value;

	__builtin_memcpy(&value, &bits, sizeof(value));
	return value;
}

PF_INLINE uint64_t to_bits(double value)
{
	uint64_t bits;

	__builtin_memcpy(&bits, &value, sizeof(bits));
	return bits;
}

/* u = 2^e m with sqrt(1/2) < m <= sqrt(2); ln m = 2 artanh(s), s = (m-1)/(m+1), |s| < 0.172, by
 * its series up to s^13 (as in fdlibm's e_log.c, whose polynomial is a better fit than we need).
 * The first term left out is 2 s^15 / 15 < 5e-13. */
PF_HOOK double pf_draw_minus_ln(double u)
{
	uint64_t bits = to_bits(u);
	int e = (int)(bits >> 52) - 1023;
	double m = from_bits((bits & 0xfffffffffffffull) | 0x3ff0000000000000ull);
	double s, z;

	if (m > 1.41421356237309504880) {
		m *= 0.5;
		e++;
	}
	s = (m - 1) / (m + 1);
	z = s * s;
	z = 1 + z * (1.0 / 3 +
			z * (1.0 / 5 +
				z * (1.0 / 7 + z * (1.0 / 9 + z * (1.0 / 11 + z * (1.0 / 13))))));
	return -(e * LN2 + 2 * s * z);
}

/* exp(-x) - 1 by its Taylor series to x^12; 0 <= x <= ln 2 / 2 leaves less than 2e-16. */
PF_INLINE double exp_minus_one_small(double x)
{
	double sum = 1;

	for (int i = 12; i > 1; i--)
		sum = 1 - x / i * sum;
	return -x * sum;
}

/* x = k ln 2 + r with |r| <= ln 2 / 2 (fdlibm's s_expm1.c): no digits are lost for small x. */
PF_HOOK double pf_draw_one_minus_exp(double x)
{
	int k;

	if (x < 0.5 * LN2)
		return -exp_minus_one_small(x);
	if (x > 40)
		return 1; /* to the last bit */
	k = (int)(x / LN2 + 0.5);
	return 1 - (1 + exp_minus_one_small(x - k * LN2)) * from_bits((uint64_t)(1023 - k) << 52);
}

PF_HOOK uint64_t pf_draw_weight(size_t size, uint64_t rate)
{
	uint64_t one = 1ull << PF_DRAW_WEIGHT_BITS;
	uint64_t theirs, weight;

	if (rate <= 1)
		return one;
	theirs = borrow_fpu();
	PIN(size);
	weight = (uint64_t)((double)one / pf_draw_one_minus_exp(((double)size + 1) / (double)rate) +
			    0.5);
	PIN(weight);
	return_fpu(theirs);
	return weight;
}

/* ---- randomness: xorshift64* (Vigna, 2016), seeded by splitmix64 ---- */

PF_INLINE uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return x ^ x >> 31;
}

PF_INLINE uint64_t next_random(struct pf_draw *d)
{
	d->random ^= d->random >> 12;
	d->random ^= d->random << 25;
	d->random ^= d->random >> 27;
	return d->random * 0x2545f4914f6cdd1dull;
}

static PF_HOOK void give_seed(struct pf_draw *d, uint32_t now)
{
	uint64_t number = __atomic_add_fetch(&seeds_given, 1, __ATOMIC_RELAXED);

	d->random = mix(seed + number * 0x9e3779b97f4a7c15ull) | 1;
	d->generation = now;
}

/* Whole bytes until the next drop: the exponential distribution, rounded down. */
static PF_HOOK uint64_t draw_distance(struct pf_draw *d, uint64_t rate)
{
	uint64_t random = next_random(d) >> 11;
	uint64_t theirs = borrow_fpu();
	uint64_t distance;

	PIN(random);
	distance = (uint64_t)(pf_draw_minus_ln(((double)random + 0.5) * (1.0 / (1ull << 53))) *
			      (double)rate);
	PIN(distance);
	return_fpu(theirs);
	return distance;
}

/* Sets the count up to the next drop, or to the next look if that is nearer. */
static PF_HOOK void set_left(struct pf_draw *d, uint64_t distance, uint64_t rate)
{
	d->left = distance < PF_DRAW_LOOK_BYTES ? distance : PF_DRAW_LOOK_BYTES;
	d->rate = distance < PF_DRAW_LOOK_BYTES ? rate : 0;
}

PF_HOOK uint64_t pf_draw_sampled(size_t size)
{
	struct pf_draw *d = &pf_draw_here;
	uint64_t unlooked = 0 - d->left; /* the bytes behind the place of this look */
	uint64_t hit = d->rate;
	uint64_t rate = (uint64_t)pf_knob_get(PF_KNOB_HEAP_SAMPLE_BYTES);
	uint32_t now = __atomic_load_n(&generation, __ATOMIC_ACQUIRE);

	if (!__atomic_load_n(&drawing, __ATOMIC_ACQUIRE) || rate == 0) {
		set_left(d, LOOK_BYTES_OFF, 0);
		return 0;
	}
	/* What is left of the last profile's drop falls into this one, at the rate that it was drawn
	 * at: drops are as likely in any byte as in any other, before the switch and after it. */
	if (d->generation != now)
		give_seed(d, now);
	if (rate == 1) {
		set_left(d, 0, 0);
		return 1;
	}
	/* No drop was drawn before this place: memoryless, so the next is drawn from here. */
	if (!hit) {
		uint64_t distance = draw_distance(d, rate);

		if (distance >= unlooked) {
			set_left(d, distance - unlooked, rate);
			return 0;
		}
		hit = rate;
	}
	set_left(d, draw_distance(d, rate), rate);
	return hit;
}

PF_HOOK uint64_t pf_draw_every(size_t size)
{
	if (pf_knob_get(PF_KNOB_HEAP_SAMPLE_BYTES) == 1)
		return __atomic_load_n(&drawing, __ATOMIC_ACQUIRE);
	return pf_draw_spend(size) ? pf_draw_sampled(size) : 0;
}

/* ---- start, stop ---- */

void pf_draw_start(uint64_t wanted)
{
	if (wanted == 0)
		wanted = mix((uint64_t)pf_clock_now_ns() ^ (uint64_t)getpid() << 40);
	seed = wanted;
	__atomic_store_n(&seeds_given, 0, __ATOMIC_RELAXED);
	__atomic_fetch_add(&generation, 1, __ATOMIC_RELEASE);
	__atomic_store_n(&drawing, true, __ATOMIC_RELEASE);
}

void pf_draw_stop(void)
{
	__atomic_store_n(&drawing, false, __ATOMIC_RELEASE);
}
