/*-------------------------------------------------------------------------
 *
 * password_policy.c
 *		What is wrong with a new password.
 *
 * "classic" wants a length, an upper-case and a lower-case letter and a digit;
 * "nist" (SP 800-63B-4) wants 15 characters and nothing about their kinds.
 * Both refuse what a guesser tries first: well-known words with the usual
 * substitutions and endings, runs and repetitions, and the user's own names.
 *
 * IDENTIFICATION
 *	  src/identity/password_policy.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>
#include <wctype.h>

#include "mb/pg_wchar.h"
#include "miscadmin.h"

#include "compat.h"
#include "identity/password.h"

#define NIST_MIN_LENGTH		15
#define SHORTEST_CONTEXT	4	/* characters: shorter names are in every text */
#define LONGEST_UNIT		4	/* characters that, repeated, add nothing */
#define LONGEST_AFFIX		6	/* characters around a word that add nothing */

/* Kinds of characters that occur. */
typedef struct Kinds
{
	int			length;			/* code points */
	bool		upper;
	bool		lower;
	bool		digit;
	bool		control;
} Kinds;

static Kinds
count_kinds(const char *password, int len)
{
	Kinds		kinds = {0};
	const char *at = password;

	while (at < password + len)
	{
		pg_wchar	c = utf8_to_unicode((const unsigned char *) at);

		at += pg_utf_mblen((const unsigned char *) at);
		kinds.length++;
		if (c < 0x20 || (c >= 0x7F && c <= 0x9F))
			kinds.control = true;
		else if (c >= '0' && c <= '9')
			kinds.digit = true;
		else if (c < 0x80 ? (c >= 'A' && c <= 'Z') : iswupper((wint_t) c))
			kinds.upper = true;
		else if (c < 0x80 ? (c >= 'a' && c <= 'z') : iswlower((wint_t) c))
			kinds.lower = true;
	}
	return kinds;
}

static char
ascii_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c;
}

static bool
is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (unsigned char) c >= 0x80;
}

/* What a digit or symbol is written for: p4$$w0rd. */
static char
undo_substitution(char c)
{
	static const char from[] = "0134578@$!|";
	static const char to[] = "oieastbasii";
	const char *at = c == '\0' ? NULL : strchr(from, c);

	return at == NULL ? c : to[at - from];
}

/* Is all of text one word of the list, perhaps repeated? */
static bool
is_word(const char *text, int len)
{
	if (lb_password_is_common_word(text, len))
		return true;
	for (int unit = 3; unit <= len / 2; unit++)
		if (len % unit == 0 && memcmp(text, text + unit, len - unit) == 0)
			return lb_password_is_common_word(text, unit);
	return false;
}

/* The same, after up to LONGEST_AFFIX digits and symbols around it are cut. */
static bool
is_dressed_word(const char *text, int len)
{
	int			first = 0;
	int			last = len;

	while (first < len && !is_letter(text[first]))
		first++;
	while (last > first && !is_letter(text[last - 1]))
		last--;
	return last > first && first + (len - last) <= LONGEST_AFFIX &&
		is_word(text + first, last - first);
}

/* One step, few characters, a short unit, or a row of keys, all the way through. */
static bool
is_run(const char *text, int len)
{
	static const char *const rows[] = {
		"`1234567890-=", "qwertyuiop[]", "asdfghjkl;'", "zxcvbnm,./",
		"qwertzuiop", "azertyuiop", "yxcvbnm", "1234567890", "0987654321",
		"1qaz2wsx3edc4rfv5tgb6yhn7ujm", "qazwsxedcrfvtgbyhnujmikolp",
		"1q2w3e4r5t6y7u8i9o0p", "q1w2e3r4t5y6u7i8o9p0", "abcdefghijklmnopqrstuvwxyz",
	};
	char	   *copy;
	bool		result = false;
	int			step = len > 1 ? text[1] - text[0] : 0;
	int			i;

	for (i = 2; i < len && text[i] - text[i - 1] == step; i++)
		;
	if (i >= len && step >= -1 && step <= 1)
		return true;
	/* ab1!ab1!ab1! */
	for (i = 1; i <= LONGEST_UNIT && 3 * i <= len; i++)
		if (memcmp(text, text + i, len - i) == 0)
			return true;

	copy = pnstrdup(text, len);
	for (i = 0; i < lengthof(rows) && !result; i++)
		result = strstr(rows[i], copy) != NULL;
	/* aaaabbbb, 11223344, abab: few different characters */
	if (!result)
	{
		bool		seen[256] = {false};
		int			different = 0;

		for (i = 0; i < len; i++)
			if (!seen[(unsigned char) copy[i]])
			{
				seen[(unsigned char) copy[i]] = true;
				different++;
			}
		result = different <= 2;
	}
	lb_wipe(copy, len);
	pfree(copy);
	return result;
}

static bool
is_common(const char *lower, int len)
{
	char	   *plain;
	int			core = len;
	bool		result;

	if (is_run(lower, len) || is_word(lower, len) || is_dressed_word(lower, len))
		return true;

	/* Substitutions; first of all, then without the ending (P4ssw0rd123!). */
	plain = palloc(len + 1);
	for (int i = 0; i < len; i++)
		plain[i] = undo_substitution(lower[i]);
	plain[len] = '\0';
	result = is_word(plain, len);
	while (!result && core > 3 && len - core < LONGEST_AFFIX &&
		   !is_letter(lower[core - 1]))
	{
		core--;
		result = is_word(plain, core) || is_run(lower, core);
	}
	/* A run with a usual ending: Qwerty12! */
	if (!result)
	{
		core = len;
		while (core > 0 && !is_letter(lower[core - 1]))
			core--;
		result = core >= 4 && len - core <= LONGEST_AFFIX && is_run(lower, core);
	}
	lb_wipe(plain, len);
	pfree(plain);
	return result;
}

/* Does the password contain a name of the user? */
static bool
contains_context(const char *lower, char **context, int ncontext)
{
	for (int i = 0; i < ncontext; i++)
	{
		char	   *word = pstrdup(context[i]);
		char	   *at;
		int			len;

		CHECK_FOR_INTERRUPTS();
		for (at = word; *at != '\0'; at++)
			*at = ascii_lower(*at);
		/* Of an address the part before the @ is what people reuse. */
		if (strstr(lower, word) != NULL && strlen(word) >= SHORTEST_CONTEXT)
			return true;
		at = strchr(word, '@');
		if (at != NULL)
			*at = '\0';
		len = strlen(word);
		if (len >= SHORTEST_CONTEXT && strstr(lower, word) != NULL)
			return true;
	}
	return false;
}

/*
 * Fills problems with constant names and returns their number.  password is
 * normalised UTF-8 (or raw, when it has control characters); the order of
 * names is fixed.
 */
int
lb_password_problems(const char *password, int len, bool nist, int min_length,
					 bool bcrypt, char **context, int ncontext,
					 const char **problems)
{
	Kinds		kinds = count_kinds(password, len);
	char	   *lower;
	int			n = 0;

	if (len == 0)
	{
		problems[n++] = "empty";
		return n;
	}
	if (kinds.control)
		problems[n++] = "control_character";
	if (kinds.length < (nist ? Max(min_length, NIST_MIN_LENGTH) : min_length))
		problems[n++] = "too_short";
	if (kinds.length > LB_PASSWORD_MAX_CHARS || len > LB_PASSWORD_MAX_BYTES ||
		(bcrypt && len > LB_BCRYPT_MAX_BYTES))
	{
		problems[n++] = "too_long";
		return n;
	}
	if (!nist)
	{
		if (!kinds.upper)
			problems[n++] = "no_upper_case";
		if (!kinds.lower)
			problems[n++] = "no_lower_case";
		if (!kinds.digit)
			problems[n++] = "no_digit";
	}
	lower = palloc(len + 1);
	for (int i = 0; i < len; i++)
		lower[i] = ascii_lower(password[i]);
	lower[len] = '\0';
	if (contains_context(lower, context, ncontext))
		problems[n++] = "contains_name";
	if (is_common(lower, len))
		problems[n++] = "common";
	lb_wipe(lower, len);
	pfree(lower);
	return n;
}
