/*-------------------------------------------------------------------------
 *
 * text.c
 *		Small helpers for text and byte arguments.
 *
 * IDENTIFICATION
 *	  src/core/text.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "port/pg_bswap.h"

#include "core/text.h"

static const char base64url_digits[] =
"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

char *
lb_hex(const uint8 *bytes, int len)
{
	static const char digits[] = "0123456789abcdef";
	char	   *hex = palloc(2 * len + 1);

	for (int i = 0; i < len; i++)
	{
		hex[2 * i] = digits[bytes[i] >> 4];
		hex[2 * i + 1] = digits[bytes[i] & 15];
	}
	hex[2 * len] = '\0';
	return hex;
}

/* The two digits of every twelve bits. */
static const char (*
base64url_pairs(void))[2]
{
	static char pairs[4096][2];
	static bool filled = false;

	if (!filled)
	{
		for (int i = 0; i < 4096; i++)
		{
			pairs[i][0] = base64url_digits[i >> 6];
			pairs[i][1] = base64url_digits[i & 63];
		}
		filled = true;
	}
	return (const char (*)[2]) pairs;
}

void
lb_base64url_append(StringInfo out, const uint8 *bytes, int len)
{
	const char	(*pairs)[2] = base64url_pairs();
	char	   *digit;
	int			i = 0;

	/* One check for room: this runs over every token that is signed. */
	enlargeStringInfo(out, len / 3 * 4 + 5);
	digit = out->data + out->len;

	/* Six of eight bytes that are read at once. */
	for (; i + 8 <= len; i += 6, digit += 8)
	{
		uint64		group;

		memcpy(&group, bytes + i, sizeof(group));
		group = pg_ntoh64(group);
		memcpy(digit, pairs[group >> 52], 2);
		memcpy(digit + 2, pairs[group >> 40 & 4095], 2);
		memcpy(digit + 4, pairs[group >> 28 & 4095], 2);
		memcpy(digit + 6, pairs[group >> 16 & 4095], 2);
	}
	for (; i + 3 <= len; i += 3, digit += 4)
	{
		uint32		group = (uint32) bytes[i] << 16 | (uint32) bytes[i + 1] << 8 | bytes[i + 2];

		memcpy(digit, pairs[group >> 12], 2);
		memcpy(digit + 2, pairs[group & 4095], 2);
	}
	if (i < len)
	{
		uint32		group = (uint32) bytes[i] << 16;

		if (i + 1 < len)
			group |= (uint32) bytes[i + 1] << 8;
		*digit++ = base64url_digits[group >> 18];
		*digit++ = base64url_digits[group >> 12 & 63];
		if (i + 1 < len)
			*digit++ = base64url_digits[group >> 6 & 63];
	}
	*digit = '\0';
	out->len = digit - out->data;
}

/* The value of each digit; what is none has bit 7. */
#define NO_DIGIT	0x80

static const uint8 *
base64url_values(void)
{
	static uint8 values[256];
	static bool filled = false;

	if (!filled)
	{
		memset(values, NO_DIGIT, sizeof(values));
		for (int i = 0; i < 64; i++)
			values[(uint8) base64url_digits[i]] = i;
		filled = true;
	}
	return values;
}

int
lb_base64url_decode(const char *text, int len, uint8 *out)
{
	const uint8 *values = base64url_values();
	const uint8 *digit = (const uint8 *) text;
	const uint8 *end = digit + len;
	uint32		bits = 0;
	int			nbits = 0;
	uint8	   *byte = out;

	if (len % 4 == 1)
		return -1;
	/* Four digits at a time: this runs over every token that is read. */
	for (; end - digit >= 4; digit += 4)
	{
		uint8		a = values[digit[0]];
		uint8		b = values[digit[1]];
		uint8		c = values[digit[2]];
		uint8		d = values[digit[3]];

		if ((a | b | c | d) & NO_DIGIT)
			return -1;
		*byte++ = a << 2 | b >> 4;
		*byte++ = b << 4 | c >> 2;
		*byte++ = c << 6 | d;
	}
	for (; digit < end; digit++)
	{
		uint8		value = values[*digit];

		if (value & NO_DIGIT)
			return -1;
		bits = bits << 6 | value;
		nbits += 6;
		if (nbits >= 8)
		{
			nbits -= 8;
			*byte++ = (uint8) (bits >> nbits);
		}
	}
	/* Bits that stand for no byte must be zero, or one value had many texts. */
	if ((bits & ((1u << nbits) - 1)) != 0)
		return -1;
	return byte - out;
}
