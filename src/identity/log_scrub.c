/*-------------------------------------------------------------------------
 *
 * log_scrub.c
 *		Keeps passwords, tokens and keys of SQL clients out of the log.
 *
 * With log_statement, log_min_duration_statement, auto_explain or an error a
 * server writes the text of a statement and its parameters.  Where that calls
 * one of our functions that take a secret, every literal in the entry is
 * blanked before it is written, and the text is replaced in
 * pg_stat_activity.  What looks like a token is blanked wherever it stands.
 * The client's copy of an error keeps its DETAIL.
 *
 * Not reached: the raw text in the moment before it is parsed, secrets in
 * double quotes or passed through a function of the client's own, and what is
 * logged before the library is loaded (docs/security.md).
 *
 * IDENTIFICATION
 *	  src/identity/log_scrub.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "nodes/plannodes.h"
#include "parser/analyze.h"
#include "parser/parser.h"
#include "pgstat.h"
#include "tcop/tcopprot.h"
#include "tcop/utility.h"
#include "utils/backend_status.h"
#include "utils/elog.h"
#include "utils/memutils.h"

#include "identity/claims.h"

#define BLANK	"***"
#define SHORTEST_SECRET	6	/* the digits of a second factor */
#define HIDDEN	"<not shown: it may hold a secret>"

static emit_log_hook_type previous_log_hook = NULL;
static post_parse_analyze_hook_type previous_analyze_hook = NULL;
static ProcessUtility_hook_type previous_utility_hook = NULL;
static bool scrubbing = false;

/* Names that begin so belong to functions which take or give secrets. */
static const char *const families[] = {
	"auth_", "password_", "jwt_", "jwk_", "jws_", "secret_", "totp_", "mfa_", "api_key", "one_time_token_", "signing_key_", "oidc_",
};

/* Names that are too common: only before an opening parenthesis. */
static const char *const functions[] = {
	"login", "sign", "verify", "algorithm_sign", "set_config", "bootstrap", "user_create", "organization_create", "sign_in", "check_password",
	"find_user", "refresh_rotate", "refresh_successor", "outbox_add", "private_jwk", "backup_code_digest", "bcrypt", "hotp", "check_code",
	"device_find", "invitation_by_token", "reauthenticate", "signed_in", "token_answer", "user_add",
};

static bool
is_name_byte(unsigned char c)
{
	return c == '_' || c >= 0x80 || (c >= '0' && c <= '9') ||
		(c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Is the name of length len at text one of ours that takes a secret? */
static bool
is_secret_name(const char *text, int len)
{
	const char *after = text + len;

	for (int i = 0; i < lengthof(families); i++)
	{
		int			n = strlen(families[i]);

		if (len >= n && pg_strncasecmp(text, families[i], n) == 0)
			return true;
	}
	while (*after == '"' || *after == ' ' || *after == '\n' || *after == '\t' || *after == '\r')
		after++;
	if (*after != '(')
		return false;
	for (int i = 0; i < lengthof(functions); i++)
		if (len == (int) strlen(functions[i]) && pg_strncasecmp(text, functions[i], len) == 0)
			return true;
	return false;
}

static bool
mentions_secret(const char *text)
{
	while (text != NULL && *text != '\0')
	{
		int			len = 0;

		/* A name in escapes can be any. */
		if (pg_strncasecmp(text, "U&\"", 3) == 0)
			return true;
		while (is_name_byte(text[len]))
			len++;
		if (len >= 4 && is_secret_name(text, len))
			return true;
		text += Max(len, 1);
	}
	return false;
}

/* EXECUTE names a statement that was prepared elsewhere. */
static bool
is_execute(const char *text)
{
	while (text != NULL && (*text == ' ' || *text == '\n' || *text == '\t' || *text == '\r' || *text == '('))
		text++;
	return text != NULL && pg_strncasecmp(text, "execute", 7) == 0 && !is_name_byte(text[7]);
}

/* Bytes of a token that stands here (header.payload.signature, or an API key), or 0. */
static int
token_length(const char *text)
{
	int			len = 0;

	if (strncmp(text, "eyJ", 3) == 0)
	{
		while (is_name_byte(text[len]) || text[len] == '-' || text[len] == '.')
			len++;
		return len >= 20 ? len : 0;
	}
	/* lab_<environment>_<id>_<secret>_<check>: nothing else of that length begins so. */
	if (strncmp(text, "lab_", 4) == 0)
	{
		while (is_name_byte(text[len]))
			len++;
		return len >= 50 ? len : 0;
	}
	return 0;
}

/* The end of a dollar quote that begins at text, or NULL when none does. */
static const char *
dollar_end(const char *text)
{
	int			len = 1;
	const char *end;

	while (is_name_byte(text[len]))
		len++;
	if (text[len] != '$' || (text[1] >= '0' && text[1] <= '9'))
		return NULL;
	len++;
	for (end = text + len; *end != '\0'; end++)
		if (strncmp(end, text, len) == 0)
			return end + len;
	return end;
}

/* The end of a comment between slash and star, which may hold others. */
static const char *
comment_end(const char *text)
{
	int			depth = 0;

	do
	{
		if (text[0] == '/' && text[1] == '*')
			depth++;
		else if (text[0] == '*' && text[1] == '/')
			depth--;
		else
		{
			text++;
			continue;
		}
		text += 2;
	} while (depth > 0 && *text != '\0');
	return text;
}

/* The end of a quoted piece; quotes may be doubled, or escaped after E.  Without one, the end of all. */
static const char *
quote_end(const char *text, bool escapes, bool *open)
{
	char		quote = *text++;

	for (; *text != '\0'; text++)
	{
		if (escapes && *text == '\\' && text[1] != '\0')
			text++;
		else if (*text == quote && text[1] == quote)
			text++;
		else if (*text == quote)
			return text + 1;
	}
	*open = true;
	return text;
}

/*
 * The end of the literal, name in double quotes or comment that begins at
 * text, or NULL when none does.  An apostrophe in one of them begins no other.
 */
static const char *
piece_end(const char *start, const char *text, bool *open)
{
	bool		after_e = text > start && (text[-1] == 'E' || text[-1] == 'e') &&
		(text - 1 == start || !is_name_byte(text[-2]));

	if (*text == '\'')
		return quote_end(text, after_e || !standard_conforming_strings, open);
	if (*text == '"')
		return quote_end(text, false, open);
	if (*text == '$')
		return dollar_end(text);
	if (text[0] == '-' && text[1] == '-')
		return text + strcspn(text, "\r\n");
	if (text[0] == '/' && text[1] == '*')
		return comment_end(text);
	return NULL;
}

/* What a field of an entry is. */
typedef enum FieldKind
{
	FIELD_SQL,					/* double quotes hold names */
	FIELD_PROSE,				/* double quotes may hold statements */
	FIELD_QUOTES_VALUES			/* double quotes may hold values */
} FieldKind;

/*
 * A copy with blanks for literals, comments and tokens; or only for tokens.
 * In the current context, which is an error's own; NULL when memory is short,
 * or when a quote stays open: then what seemed outside may have been inside.
 */
static char *
scrubbed(const char *text, bool literals, FieldKind kind)
{
	const char *start = text;
	size_t		room = strlen(text) * 3 + 16;
	char	   *copy = MemoryContextAllocExtended(CurrentMemoryContext, room, MCXT_ALLOC_HUGE | MCXT_ALLOC_NO_OOM);
	char	   *out = copy;
	bool		open = false;
	bool		quoted;			/* a value may hold quotes itself */

	if (copy == NULL)
		return NULL;
	while (*text != '\0')
	{
		const char *end = NULL;
		int			len;

		if (*text == '"' && kind == FIELD_QUOTES_VALUES)
			end = quote_end(text, true, &quoted);
		else if (literals && (*text != '"' || kind == FIELD_SQL))
			end = piece_end(start, text, &open);
		/* A name stays, unless it may be taken for more. */
		if (end != NULL && *text == '"' && kind == FIELD_SQL && memchr(text, '\'', end - text) == NULL)
		{
			memcpy(out, text, end - text);
			out += end - text;
			text = end;
		}
		else if (end != NULL)
		{
			*out++ = *text;
			memcpy(out, BLANK, 3);
			out += 3;
			*out++ = *text;
			text = end;
		}
		else if ((len = token_length(text)) > 0)
		{
			memcpy(out, BLANK, 3);
			out += 3;
			text += len;
		}
		else if (is_name_byte(*text))
		{
			/* To the end of the word: a token begins at a word's start. */
			while (is_name_byte(*text))
				*out++ = *text++;
		}
		else
			*out++ = *text++;
	}
	*out = '\0';
	if (literals && open)
	{
		pfree(copy);
		return NULL;
	}
	return copy;
}

static void
scrub_field(char **field, bool literals, FieldKind kind)
{
	if (*field != NULL)
	{
		*field = scrubbed(*field, literals, kind);
		if (*field == NULL)
			*field = HIDDEN;
	}
}

/*
 * May what a message quotes be a secret?  A value that stands in quotes in the
 * statement, or any where the values came bound.  Short words are names.
 */
static bool
may_be_value(const char *piece, int len)
{
	const char *start = debug_query_string;
	const char *at = start;
	bool		open;

	if (len < SHORTEST_SECRET)
		return false;
	if (at == NULL || strstr(at, "$1") != NULL)
		return true;
	while (*at != '\0')
	{
		const char *end = piece_end(start, at, &open);

		for (; end != NULL && at + len < end; at++)
			if (memcmp(at, piece, len) == 0)
				return true;
		at = end != NULL ? end : at + 1;
	}
	return false;
}

/* The message of an error of PostgreSQL's own: the client gets the same one. */
static void
scrub_message(char **message)
{
	char	   *out = *message != NULL ? pstrdup(*message) : NULL;
	const char *at = *message;
	char	   *copy = out;

	while (copy != NULL && *at != '\0')
	{
		const char *end = *at == '"' ? strchr(at + 1, '"') : NULL;

		/* Values may hold quotes themselves: up to the last one. */
		if (end != NULL && may_be_value(at + 1, end - at - 1))
		{
			end = strrchr(at + 1, '"');
			memcpy(out, "\"" BLANK "\"", 5);
			out += 5;
			at = end + 1;
		}
		else if (end != NULL)
		{
			/* A name, with both its quotes. */
			memcpy(out, at, end + 1 - at);
			out += end + 1 - at;
			at = end + 1;
		}
		else
			*out++ = *at++;
	}
	if (copy != NULL)
	{
		*out = '\0';
		*message = copy;
	}
}

/* A JSON reader shows the line of its input where it stopped. */
static void
drop_json_lines(char *context)
{
	char	   *line = context != NULL ? strstr(context, "JSON data, line ") : NULL;

	if (line != NULL)
		line[strlen("JSON data")] = '\0';
}

static bool
is_refusal_of_ours(int sqlstate)
{
	const char *code = unpack_sql_state(sqlstate);

	/* PGRST: a refusal with headers (lb_throttle_refuse), which PostgREST reads. */
	return (code[0] == 'P' && code[1] == 'T') || (code[0] == 'L' && code[1] == 'B') || strcmp(code, "PGRST") == 0;
}

static void
scrub_entry(ErrorData *entry)
{
	bool		secret;
	bool		foreign;
	bool		ours = is_refusal_of_ours(entry->sqlerrcode);

	secret = mentions_secret(debug_query_string) || mentions_secret(entry->message) ||
		mentions_secret(entry->detail) || mentions_secret(entry->detail_log) ||
		mentions_secret(entry->context) || mentions_secret(entry->internalquery) ||
		is_execute(debug_query_string);
	/* An error of PostgreSQL's own may quote a value in double quotes. */
	foreign = secret && entry->elevel >= ERROR && !ours;
	if (secret || token_length(debug_query_string ? debug_query_string : "") > 0)
		entry->hide_stmt = true;
	else if (debug_query_string != NULL && (strstr(debug_query_string, "eyJ") != NULL || strstr(debug_query_string, "lab_") != NULL))
	{
		/* The statement is written as it is, or not at all. */
		char	   *copy = scrubbed(debug_query_string, false, FIELD_SQL);

		if (copy == NULL || strcmp(copy, debug_query_string) != 0)
			entry->hide_stmt = true;
	}
	if (entry->detail_log == NULL && entry->detail != NULL)
		entry->detail_log = entry->detail;
	/* Below an error the message is the statement itself. */
	if (entry->elevel < ERROR || !secret)
		scrub_field(&entry->message, secret, FIELD_SQL);
	else if (foreign)
		scrub_message(&entry->message);
	scrub_field(&entry->detail_log, secret, foreign ? FIELD_QUOTES_VALUES : FIELD_PROSE);
	scrub_field(&entry->context, secret, foreign ? FIELD_QUOTES_VALUES : FIELD_PROSE);
	scrub_field(&entry->internalquery, secret, FIELD_SQL);
	if (secret)
		drop_json_lines(entry->context);
}

static void
scrub_log(ErrorData *entry)
{
	/* An error of ours in here would come back to us. */
	if (!scrubbing)
	{
		scrubbing = true;
		scrub_entry(entry);
		scrubbing = false;
	}
	if (previous_log_hook != NULL)
		previous_log_hook(entry);
}

/* What other sessions see of a statement, from its analysis on. */
static void
scrub_activity(ParseState *pstate, Query *query, JumbleState *jumble)
{
	const char *text = pstate->p_sourcetext;
	char	   *copy;

	if (previous_analyze_hook != NULL)
		previous_analyze_hook(pstate, query, jumble);
	if (text == NULL || text != debug_query_string)
		return;
	if (!mentions_secret(text) && strstr(text, "eyJ") == NULL &&
		!(query->utilityStmt != NULL && IsA(query->utilityStmt, ExecuteStmt)))
		return;
	copy = scrubbed(text, true, FIELD_SQL);
	pgstat_report_activity(STATE_RUNNING, copy != NULL ? copy : HIDDEN);
	if (copy != NULL)
		pfree(copy);
}

/* The same length, so that positions in the text stay what they are. */
static char *
starred(const char *text)
{
	char	   *copy = pstrdup(text);
	bool		open;

	for (const char *p = text; *p != '\0';)
	{
		const char *end = piece_end(text, p, &open);

		if (end == NULL)
			p++;
		else if (*p == '"')
			p = end;
		else
			for (; p < end; p++)
				copy[p - text] = '*';
	}
	return copy;
}

/* Statements that carry a query or code inside, whose text statistics keep as it is. */
static bool
carries_query(const Node *statement)
{
	switch (nodeTag(statement))
	{
		case T_DoStmt:
		case T_CallStmt:
		case T_ExplainStmt:
		case T_PrepareStmt:
		case T_ExecuteStmt:
		case T_CreateTableAsStmt:
		case T_DeclareCursorStmt:
		case T_CopyStmt:
			return true;
		default:
			return false;
	}
}

static void
scrub_utility(PlannedStmt *planned, const char *text, bool read_only_tree,
			  ProcessUtilityContext context, ParamListInfo params,
			  QueryEnvironment *environment, DestReceiver *receiver,
			  QueryCompletion *completion)
{
	if (carries_query(planned->utilityStmt) && mentions_secret(text))
		text = starred(text);
	if (previous_utility_hook != NULL)
		previous_utility_hook(planned, text, read_only_tree, context, params, environment, receiver, completion);
	else
		standard_ProcessUtility(planned, text, read_only_tree, context, params, environment, receiver, completion);
}

void
lb_identity_scrub_log(void)
{
	previous_log_hook = emit_log_hook;
	emit_log_hook = scrub_log;
	previous_analyze_hook = post_parse_analyze_hook;
	post_parse_analyze_hook = scrub_activity;
	previous_utility_hook = ProcessUtility_hook;
	ProcessUtility_hook = scrub_utility;
}
