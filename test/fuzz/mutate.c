/*-------------------------------------------------------------------------
 *
 * mutate.c
 *		Random inputs from seeds: bytes, JSON texts, tokens.
 *
 * Input N of a seed is always the same, so that a finding can be repeated.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mutate.h"

static uint64 state;

void
fuzz_seed(uint64 seed, uint64 number)
{
	state = seed * UINT64CONST(0x9E3779B97F4A7C15) + number * UINT64CONST(0xBF58476D1CE4E5B9) + 1;
	for (int i = 0; i < 4; i++)
		(void) fuzz_random();
}

/* splitmix64 */
uint64
fuzz_random(void)
{
	uint64		z = (state += UINT64CONST(0x9E3779B97F4A7C15));

	z = (z ^ (z >> 30)) * UINT64CONST(0xBF58476D1CE4E5B9);
	z = (z ^ (z >> 27)) * UINT64CONST(0x94D049BB133111EB);
	return z ^ (z >> 31);
}

int
fuzz_below(int n)
{
	return (int) (fuzz_random() % (uint64) n);
}

/* What tends to break readers of JSON, JWT, base64 and UTF-8. */
static const char *const words[] = {
	"{", "}", "[", "]", ",", ":", "\"", "\\", "\\u0000", "\\ud800", "\\udc00", "\\ud83d\\ude00", "\\u0073ub", "null", "true", "-1", "1e400", "1e-400", "253402300800",
	"0x10", "NaN", "\"sub\"", "\"sub\":\"00000000-0000-0000-0000-000000000000\",", "\"exp\":1e308,", "\"sid\":null,", "\"crit\":[],", "\"b64\":false,",
	"\"alg\":\"none\",", "\"alg\":\"HS256\",", "\"kid\":\"../../etc/passwd\",", "\"kid\":\"' or 1=1 --\",", "\"jwk\":{},", "\"d\":\"AAAA\",", "\"k\":\"\",", "\"use\":\"enc\",",
	"\"key_ops\":[\"sign\"],", "\"key_ops\":[[]],", "\"key_ops\":[1,", "[[[[[[[[[[[[[[[[[[", "{\"a\":{\"a\":{\"a\":", "=", "==", "-", "_", "+", "/", ".", "..", "\xff", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80",
	"\xe2\x80\xae", "\xcc\x81", "\xf0\x9f\x91\xa9", "\r\n", "\t", " ", "$argon2id$v=19$m=65536,t=3,p=4$", "$2b$12$", "m=4294967296,", "t=0,", "$", "99999999", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "-----BEGIN PRIVATE KEY-----\n", "-----END PRIVATE KEY-----", "::ffff:1.2.3.4", "%s%n",
};

static void
insert(Input *in, int at, const char *bytes, int len)
{
	if (in->len + len > FUZZ_MAX)
		return;
	memmove(in->data + at + len, in->data + at, in->len - at);
	memcpy(in->data + at, bytes, len);
	in->len += len;
}

static void
delete(Input *in, int at, int len)
{
	memmove(in->data + at, in->data + at + len, in->len - at - len);
	in->len -= len;
}

static void
mutate_once(Input *in)
{
	int			at = fuzz_below(in->len + 1);
	char		copy[64];
	int			len;

	switch (fuzz_below(9))
	{
		case 0:
			if (at < in->len)
				in->data[at] ^= 1 << fuzz_below(8);
			break;
		case 1:
			if (at < in->len)
				in->data[at] = fuzz_random();
			break;
		case 2:
			len = 1 + fuzz_below(16);
			len = Min(in->len - at, len);
			delete(in, at, len);
			break;
		case 3:
		case 4:
		case 5:
			{
				const char *word = words[fuzz_below(lengthof(words))];

				insert(in, at, word, strlen(word));
			}
			break;
		case 6:
			/* A piece again, somewhere else: members and segments twice. */
			len = 1 + fuzz_below(sizeof(copy));
			len = Min(in->len - at, len);
			memcpy(copy, in->data + at, len);
			insert(in, fuzz_below(in->len + 1), copy, len);
			break;
		case 7:
			in->len = at;
			break;
		default:
			/* Much of one thing; rarely, as it costs. */
			if (fuzz_below(16) == 0)
			{
				static const char many[] = "[{\"a.$=\\";
				char		block[4096];

				memset(block, many[fuzz_below(sizeof(many) - 1)], sizeof(block));
				insert(in, at, block, 1 + fuzz_below(sizeof(block)));
			}
			else if (at < in->len)
				in->data[at] = words[fuzz_below(lengthof(words))][0];
			break;
	}
}

void
fuzz_mutate(Input *in)
{
	for (int n = 1 + fuzz_below(4); n > 0; n--)
		mutate_once(in);
}

void
fuzz_set(Input *in, const char *bytes, int len)
{
	in->len = Min(len, FUZZ_MAX);
	memcpy(in->data, bytes, in->len);
}
