/*-------------------------------------------------------------------------
 *
 * errors.c
 *		Refusals with a HTTP status and a machine-readable DETAIL.
 *
 * IDENTIFICATION
 *	  src/core/errors.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "utils/json.h"

#include "core/errors.h"

#define MAX_REASON_LENGTH	200

int
lb_http_sqlstate(int status)
{
	Assert(status >= 400 && status <= 599);

	return MAKE_SQLSTATE('P', 'T', '0' + status / 100,
						 '0' + status / 10 % 10, '0' + status % 10);
}

/*
 * A message becomes the reason phrase of a HTTP answer: one line of printable
 * ASCII, not too long, whatever value of a client stands in it.
 */
static void
make_reason(StringInfo message)
{
	if (message->len > MAX_REASON_LENGTH)
	{
		message->len = MAX_REASON_LENGTH;
		message->data[message->len] = '\0';
	}
	for (int i = 0; i < message->len; i++)
		if (message->data[i] < ' ' || message->data[i] > '~')
			message->data[i] = '?';
}

lb_refusal_hook_type lb_refusal_hook = NULL;

void
lb_refuse(int status, const char *code, const char *extra,
		  const char *hint, const char *fmt,...)
{
	StringInfoData message;
	StringInfoData detail;

	initStringInfo(&message);
	for (;;)
	{
		va_list		args;
		int			needed;

		va_start(args, fmt);
		needed = appendStringInfoVA(&message, fmt, args);
		va_end(args);
		if (needed == 0)
			break;
		enlargeStringInfo(&message, needed);
	}
	make_reason(&message);

	initStringInfo(&detail);
	appendStringInfoString(&detail, "{\"code\": ");
	escape_json(&detail, code);
	if (extra != NULL && extra[0] != '\0')
		appendStringInfo(&detail, ", %s", extra);
	appendStringInfoChar(&detail, '}');

	if (lb_refusal_hook != NULL)
		lb_refusal_hook(status, code, extra);

	ereport(ERROR,
			errcode(lb_http_sqlstate(status)),
			errmsg_internal("%s", message.data),
			errdetail_internal("%s", detail.data),
			hint ? errhint("%s", hint) : 0);
	pg_unreachable();
}
