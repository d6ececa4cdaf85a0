/*-------------------------------------------------------------------------
 *
 * jsonscan.c
 *		A strict JSON scanner for bytes that nobody has vouched for.
 *
 * A recursive-descent reader of RFC 8259 with the depth bounded by an
 * argument.  Names of the objects that are open stand on one stack, so that a
 * repeated name is found by comparing hashes with those of its own object.
 *
 * IDENTIFICATION
 *	  src/core/jsonscan.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <errno.h>
#include <math.h>

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "port/pg_bitutils.h"

#include "compat.h"
#include "core/jsonscan.h"

#define LONGEST_NUMBER	256		/* characters; NumericDate needs 12 */
#define LONGEST_EXPONENT 3		/* digits: what follows must read it too */

#define FIRST_MEMBERS	16		/* room at the start */

typedef struct OpenName
{
	uint64		hash;
	const char *text;
	int			len;
} OpenName;

typedef struct Scanner
{
	const char *at;
	const char *end;
	int			depth_left;
	int			max_members;	/* of any one object */
	OpenName	   *names;			/* of all open objects */
	int			nnames;
	int			names_size;
	LbJsonObject *outer;		/* filled while in_outer */
	bool		in_outer;
} Scanner;

static bool scan_value(Scanner *s, LbJsonType *type);

static inline void
skip_space(Scanner *s)
{
	while (s->at < s->end &&
		   (*s->at == ' ' || *s->at == '\t' || *s->at == '\n' || *s->at == '\r'))
		s->at++;
}

static inline bool
take(Scanner *s, char c)
{
	skip_space(s);
	if (s->at == s->end || *s->at != c)
		return false;
	s->at++;
	return true;
}

/* Four hex digits as a number, or -1. */
static int
hex4(const char *at, const char *end)
{
	int			value = 0;

	if (end - at < 4)
		return -1;
	for (int i = 0; i < 4; i++)
	{
		char		c = at[i];

		if (c >= '0' && c <= '9')
			value = value << 4 | (c - '0');
		else if (c >= 'a' && c <= 'f')
			value = value << 4 | (c - 'a' + 10);
		else if (c >= 'A' && c <= 'F')
			value = value << 4 | (c - 'A' + 10);
		else
			return -1;
	}
	return value;
}

/*
 * Reads the escape after a backslash at *at and moves past it; returns the
 * character, or -1.  A surrogate must come with its partner.
 */
static int
read_escape(const char **at, const char *end)
{
	static const char from[] = "\"\\/bfnrt";
	static const char to[] = "\"\\/\b\f\n\r\t";
	const char *plain;
	int			unit,
				low;

	if (*at == end)
		return -1;
	if (**at != 'u')
	{
		plain = **at == '\0' ? NULL : strchr(from, **at);
		if (plain == NULL)
			return -1;
		(*at)++;
		return (unsigned char) to[plain - from];
	}
	(*at)++;
	unit = hex4(*at, end);
	if (unit <= 0 || (unit >= 0xDC00 && unit <= 0xDFFF))
		return -1;
	*at += 4;
	if (unit < 0xD800 || unit > 0xDBFF)
		return unit;
	if (end - *at < 6 || (*at)[0] != '\\' || (*at)[1] != 'u')
		return -1;
	low = hex4(*at + 2, end);
	if (low < 0xDC00 || low > 0xDFFF)
		return -1;
	*at += 6;
	return 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
}

/*
 * Copies the inside of a scanned string to out (room for as many bytes, since
 * an escape is never shorter than what it stands for); returns its length.
 */
static int
unescape(const char *at, const char *end, char *out)
{
	char	   *start = out;

	while (at < end)
	{
		if (*at != '\\')
			*out++ = *at++;
		else
		{
			int			c;

			at++;
			c = read_escape(&at, end);
			Assert(c > 0);
			unicode_to_utf8((pg_wchar) c, (unsigned char *) out);
			out += pg_utf_mblen((unsigned char *) out);
		}
	}
	return out - start;
}

/* All eight bytes of a word. */
#define EACH(byte)		(UINT64CONST(0x0101010101010101) * (byte))

/* The bit 7 of bytes below limit, at most 0x80: of the first such byte surely. */
#define BELOW(word, limit)	(((word) - EACH(limit)) & ~(word) & EACH(0x80))

/* The first byte at which a string ends or is not plain: quote, backslash, control. */
static inline const char *
skip_plain(const char *at, const char *end)
{
	for (; end - at >= sizeof(uint64); at += sizeof(uint64))
	{
		uint64		word;
		uint64		found;

		memcpy(&word, at, sizeof(word));
		found = BELOW(word, 0x20) | BELOW(word ^ EACH('"'), 1) | BELOW(word ^ EACH('\\'), 1);
		if (found == 0)
			continue;
#ifdef WORDS_BIGENDIAN
		break;
#else
		return at + pg_rightmost_one_pos64(found) / 8;
#endif
	}
	while (at < end && *at != '"' && *at != '\\' && (unsigned char) *at >= 0x20)
		at++;
	return at;
}

/* A string at the opening quote; *inside and *len are what stands in quotes. */
static bool
scan_string(Scanner *s, const char **inside, int *len, bool *escaped)
{
	*escaped = false;
	if (!take(s, '"'))
		return false;
	*inside = s->at;
	while ((s->at = skip_plain(s->at, s->end)) < s->end && *s->at != '"')
	{
		if (*s->at != '\\')
			return false;
		s->at++;
		*escaped = true;
		if (read_escape(&s->at, s->end) < 0)
			return false;
	}
	if (s->at == s->end)
		return false;
	*len = s->at - *inside;
	s->at++;
	return true;
}

static bool
scan_digits(Scanner *s)
{
	const char *start = s->at;

	while (s->at < s->end && *s->at >= '0' && *s->at <= '9')
		s->at++;
	return s->at > start;
}

static bool
scan_number(Scanner *s)
{
	const char *start = s->at;
	const char *exponent;

	if (s->at < s->end && *s->at == '-')
		s->at++;
	if (s->at < s->end && *s->at == '0')
		s->at++;
	else if (!scan_digits(s))
		return false;
	if (s->at < s->end && *s->at == '.')
	{
		s->at++;
		if (!scan_digits(s))
			return false;
	}
	if (s->at < s->end && (*s->at == 'e' || *s->at == 'E'))
	{
		s->at++;
		if (s->at < s->end && (*s->at == '+' || *s->at == '-'))
			s->at++;
		exponent = s->at;
		if (!scan_digits(s) || s->at - exponent > LONGEST_EXPONENT)
			return false;
	}
	return s->at - start <= LONGEST_NUMBER;
}

static bool
scan_word(Scanner *s, const char *word)
{
	int			len = strlen(word);

	if (s->end - s->at < len || memcmp(s->at, word, len) != 0)
		return false;
	s->at += len;
	return true;
}

/* All bytes count; names are compared when it is equal. */
static inline uint64
name_hash(const char *text, int len)
{
	uint64		hash = len;
	uint64		word = 0;

	for (; len >= sizeof(word); text += sizeof(word), len -= sizeof(word))
	{
		memcpy(&word, text, sizeof(word));
		hash = (hash ^ word) * UINT64CONST(0x9E3779B97F4A7C15);
		hash ^= hash >> 29;
	}
	word = 0;
	for (int i = 0; i < len; i++)
		word = word << 8 | (unsigned char) text[i];
	hash = (hash ^ word) * UINT64CONST(0x9E3779B97F4A7C15);
	return hash ^ hash >> 32;
}

/* Puts a name on the stack; false when its object, from "first", has it. */
static bool
push_name(Scanner *s, int first, const char *text, int len)
{
	uint64		hash = name_hash(text, len);

	if (s->nnames - first >= s->max_members)
		return false;
	for (int i = first; i < s->nnames; i++)
		if (s->names[i].hash == hash && s->names[i].len == len &&
			memcmp(s->names[i].text, text, len) == 0)
			return false;
	if (s->nnames == s->names_size)
	{
		s->names_size *= 2;
		s->names = repalloc(s->names, sizeof(OpenName) * s->names_size);
	}
	s->names[s->nnames].hash = hash;
	s->names[s->nnames].text = text;
	s->names[s->nnames].len = len;
	s->nnames++;
	return true;
}

static bool
scan_member(Scanner *s, int first, bool outermost)
{
	const char *name;
	const char *value;
	int			len;
	bool		escaped;
	LbJsonType	type;

	if (!scan_string(s, &name, &len, &escaped))
		return false;
	if (escaped)
	{
		char	   *plain = palloc(len + 4);

		len = unescape(name, name + len, plain);
		name = plain;
	}
	if (!push_name(s, first, name, len) || !take(s, ':'))
		return false;
	skip_space(s);
	value = s->at;
	if (!scan_value(s, &type))
		return false;
	if (outermost)
	{
		LbJsonObject *object = s->outer;
		LbJsonMember *member;

		if ((object->count & (object->count - 1)) == 0 && object->count >= FIRST_MEMBERS)
			object->members = repalloc(object->members, sizeof(LbJsonMember) *
									   object->count * 2);
		member = &object->members[object->count++];
		member->name = name;
		member->name_len = len;
		member->type = type;
		member->value = value;
		member->value_len = s->at - value;
	}
	return true;
}

static bool
scan_object(Scanner *s)
{
	int			first = s->nnames;
	bool		outermost = s->in_outer;

	s->in_outer = false;
	if (!take(s, '{'))
		return false;
	if (take(s, '}'))
		return true;
	do
	{
		CHECK_FOR_INTERRUPTS();
		if (!scan_member(s, first, outermost))
			return false;
	} while (take(s, ','));
	s->nnames = first;
	return take(s, '}');
}

static bool
scan_array(Scanner *s)
{
	LbJsonType	type;

	if (!take(s, '['))
		return false;
	if (take(s, ']'))
		return true;
	do
	{
		CHECK_FOR_INTERRUPTS();
		if (!scan_value(s, &type))
			return false;
	} while (take(s, ','));
	return take(s, ']');
}

static bool
scan_value(Scanner *s, LbJsonType *type)
{
	const char *inside;
	int			len;
	bool		result,
				escaped;

	skip_space(s);
	if (s->at == s->end)
		return false;
	switch (*s->at)
	{
		case '{':
		case '[':
			check_stack_depth();
			*type = *s->at == '{' ? LB_JSON_OBJECT : LB_JSON_ARRAY;
			if (s->depth_left-- <= 0)
				return false;
			result = *type == LB_JSON_OBJECT ? scan_object(s) : scan_array(s);
			s->depth_left++;
			return result;
		case '"':
			*type = LB_JSON_STRING;
			return scan_string(s, &inside, &len, &escaped);
		case 't':
			*type = LB_JSON_BOOL;
			return scan_word(s, "true");
		case 'f':
			*type = LB_JSON_BOOL;
			return scan_word(s, "false");
		case 'n':
			*type = LB_JSON_NULL;
			return scan_word(s, "null");
		default:
			*type = LB_JSON_NUMBER;
			return scan_number(s);
	}
}

bool
lb_jsonscan_object(const char *text, int len, int max_members, int max_depth,
				   LbJsonObject *object)
{
	Scanner		s = {0};
	LbJsonType	type;

	object->count = 0;
	object->members = palloc_array(LbJsonMember, FIRST_MEMBERS);
	/* pg_verify_mbstr also refuses a zero byte. */
	if (len <= 0 || !pg_verify_mbstr(PG_UTF8, text, len, true))
		return false;
	s.at = text;
	s.end = text + len;
	s.depth_left = max_depth;
	s.max_members = max_members;
	s.names_size = FIRST_MEMBERS;
	s.names = palloc_array(OpenName, s.names_size);
	s.outer = object;
	s.in_outer = true;

	skip_space(&s);
	if (s.at == s.end || *s.at != '{' || !scan_value(&s, &type))
		return false;
	skip_space(&s);
	return s.at == s.end;
}

const LbJsonMember *
lb_jsonscan_find(const LbJsonObject *object, const char *name)
{
	int			len = strlen(name);

	for (int i = 0; i < object->count; i++)
		if (object->members[i].name_len == len &&
			memcmp(object->members[i].name, name, len) == 0)
			return &object->members[i];
	return NULL;
}

/* A scanned string with its quotes, unescaped and terminated. */
static char *
quoted_text(const char *value, int value_len, int *len)
{
	char	   *text = palloc(value_len + 4);
	int			n = unescape(value + 1, value + value_len - 1, text);

	text[n] = '\0';
	if (len != NULL)
		*len = n;
	return text;
}

char *
lb_jsonscan_text(const LbJsonObject *object, const char *name, int *len)
{
	const LbJsonMember *member = lb_jsonscan_find(object, name);

	if (member == NULL || member->type != LB_JSON_STRING)
		return NULL;
	return quoted_text(member->value, member->value_len, len);
}

int
lb_jsonscan_strings(const LbJsonMember *member, char **strings, int max_strings)
{
	Scanner		s = {0};
	int			n = 0;

	if (member->type != LB_JSON_ARRAY)
		return -1;
	s.at = member->value + 1;
	s.end = member->value + member->value_len;
	if (take(&s, ']'))
		return 0;
	do
	{
		const char *inside;
		int			len;
		bool		escaped;

		if (n == max_strings || !scan_string(&s, &inside, &len, &escaped))
			return -1;
		strings[n++] = quoted_text(inside - 1, len + 2, NULL);
	} while (take(&s, ','));
	return n;
}

bool
lb_jsonscan_number(const LbJsonMember *member, double *result)
{
	char		buffer[LONGEST_NUMBER + 1];

	if (member->type != LB_JSON_NUMBER || member->value_len > LONGEST_NUMBER)
		return false;
	memcpy(buffer, member->value, member->value_len);
	buffer[member->value_len] = '\0';
	errno = 0;
	*result = strtod(buffer, NULL);
	return errno == 0 && isfinite(*result);
}
