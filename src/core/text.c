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

void
lb_base64url_append(StringInfo out, const uint8 *bytes, int len)
{
	char	   *digit;
	int			i = 0;

	/* One check for room: this runs over every token that is signed. */
	enlargeStringInfo(out, len / 3 * 4 + 5);
	digit = out->data + out->len;

	for (; i + 3 <= len; i += 3)
	{
		uint32		group = (uint32) bytes[i] << 16 | (uint32) bytes[i + 1] << 8 | bytes[i + 2];

		*digit++ = base64url_digits[group >> 18];
		*digit++ = base64url_digits[group >> 12 & 63];
		*digit++ = base64url_digits[group >> 6 & 63];
		*digit++ = base64url_digits[group & 63];
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

static int
base64url_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '-')
		return 62;
	if (c == '_')
		return 63;
	return -1;
}

int
lb_base64url_decode(const char *text, int len, uint8 *out)
{
	uint32		bits = 0;
	int			nbits = 0;
	int			n = 0;

	if (len % 4 == 1)
		return -1;
	for (int i = 0; i < len; i++)
	{
		int			value = base64url_value(text[i]);

		if (value < 0)
			return -1;
		bits = bits << 6 | (uint32) value;
		nbits += 6;
		if (nbits >= 8)
		{
			nbits -= 8;
			out[n++] = (uint8) (bits >> nbits);
		}
	}
	/* Bits that stand for no byte must be zero, or one value had many texts. */
	if ((bits & ((1u << nbits) - 1)) != 0)
		return -1;
	return n;
}
